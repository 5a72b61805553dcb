//! No exchange of a dialogue with one damaged message is reported as exact with the answer to another request.

use crate::dialogue;

/// Dialogues: the fuzz target of the same name runs more.
const DIALOGUES: u64 = 40_000;
/// Choices of a dialogue, and some to spare.
const CHOICES: usize = 48;

#[test]
fn nothing_false_is_reported_as_exact_of_a_damaged_dialogue() {
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    for _ in 0..DIALOGUES {
        let input: [u8; CHOICES] = std::array::from_fn(|_| {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            (seed >> 32) as u8
        });
        dialogue::check(&input);
    }
}
