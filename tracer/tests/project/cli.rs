//! `docs/cli.md`, from the definition of the command line.

use std::fmt::Write as _;

use clap::{Arg, Command};

use super::{GENERATED, cell};

/// The page.
pub(super) fn page() -> String {
    let mut command = tracer::cli::command();
    command.build();
    let mut page = format!("{GENERATED}\n# Command line\n\n{}\n", command.get_about().expect("a purpose"));
    if let Some(after) = command.get_after_help() {
        let _ = write!(page, "\n{after}\n");
    }
    page += "\n| Command | Purpose |\n|---|---|\n";
    for subcommand in shown(&command) {
        let name = format!("{} {}", command.get_name(), subcommand.get_name());
        let _ = writeln!(page, "| [`{name}`](#{}) | {} |", name.replace(' ', "-"), purpose(subcommand));
    }
    for subcommand in shown(&command) {
        describe(&mut page, command.get_name(), subcommand);
    }
    page
}

fn shown(command: &Command) -> impl Iterator<Item = &Command> {
    command.get_subcommands().filter(|command| !command.is_hide_set() && command.get_name() != "help")
}

fn purpose(command: &Command) -> String {
    cell(&command.get_long_about().or(command.get_about()).expect("a purpose").to_string())
}

fn describe(page: &mut String, program: &str, command: &Command) {
    let usage = command.clone().render_usage().to_string();
    let usage = usage.trim_start_matches("Usage: ");
    let _ = write!(page, "\n## `{program} {}`\n\n{}\n", command.get_name(), purpose(command));
    let _ = write!(page, "\n```\n{usage}\n```\n");
    let arguments: Vec<_> = command
        .get_arguments()
        .filter(|argument| !argument.is_hide_set() && argument.get_id() != "help")
        .collect();
    let mut headings: Vec<_> = Vec::new();
    for argument in &arguments {
        if !headings.contains(&heading(argument)) {
            headings.push(heading(argument));
        }
    }
    for title in headings {
        let _ = write!(page, "\n### {title}\n\n| Option | Meaning |\n|---|---|\n");
        for argument in arguments.iter().filter(|argument| heading(argument) == title) {
            let _ = writeln!(page, "| {} | {} |", syntax(argument), meaning(argument));
        }
    }
    if let Some(after) = command.get_after_help() {
        let _ = write!(page, "\n{after}\n");
    }
}

fn heading(argument: &Arg) -> &str {
    argument.get_help_heading().unwrap_or(if argument.is_positional() { "Arguments" } else { "Options" })
}

/// `` `-p`, `--port <LIST>` ``.
fn syntax(argument: &Arg) -> String {
    let values = argument.get_value_names().filter(|_| argument.get_action().takes_values());
    let values: String = values.into_iter().flatten().map(|name| format!(" <{name}>")).collect();
    let short = argument.get_short().map(|short| format!("-{short}"));
    let long = argument.get_long().map(|long| format!("--{long}"));
    let mut forms: Vec<_> = short.into_iter().chain(long).collect();
    match forms.last_mut() {
        Some(last) => *last += &values,
        None => forms.push(values.trim().to_owned()),
    }
    forms.iter().map(|form| format!("`{form}`")).collect::<Vec<_>>().join(", ")
}

/// The help of an argument, its values and its default.
fn meaning(argument: &Arg) -> String {
    let help = argument.get_long_help().or(argument.get_help()).expect("each argument has a help");
    let mut meaning = cell(&help.to_string());
    if argument.get_action().takes_values() && !argument.is_hide_possible_values_set() {
        for value in argument.get_possible_values().iter().filter(|value| !value.is_hide_set()) {
            let help = value.get_help().map(|help| format!(": {help}")).unwrap_or_default();
            let _ = write!(meaning, "<br>`{}`{}", value.get_name(), cell(&help));
        }
    }
    let defaults: Vec<_> =
        argument.get_default_values().iter().map(|value| format!("`{}`", value.to_string_lossy())).collect();
    if argument.get_action().takes_values() && !argument.is_hide_default_value_set() && !defaults.is_empty() {
        let _ = write!(meaning, "<br>Default: {}", defaults.join(", "));
    }
    meaning
}
