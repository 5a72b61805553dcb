//! Containers and pods, by the paths of their cgroups.

/// The container that a cgroup belongs to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Container {
    /// Its identifier.
    pub(super) id: Option<String>,
    /// The UID of its Kubernetes pod.
    pub(super) pod: Option<String>,
}

/// Hexadecimal digits of an identifier.
const ID_LEN: usize = 64;
/// Characters of a UID.
const UID_LEN: usize = 36;
/// What is before an identifier in the name of a scope that systemd makes, by who runs the container.
const RUNTIMES: [&str; 5] = ["docker-", "cri-containerd-", "nerdctl-", "crio-", "libpod-"];

impl Container {
    /// The container of a cgroup at `path`: the innermost one. A cgroup of its own may lie below it.
    pub(super) fn of(path: &str) -> Self {
        let mut container = Self::default();
        for element in path.split('/') {
            container.id = id(element).or(container.id);
            container.pod = pod(element).or(container.pod);
        }
        container
    }
}

/// `<64 digits>`, or `<runtime>-<64 digits>.scope`.
fn id(element: &str) -> Option<String> {
    let name = element.strip_suffix(".scope").unwrap_or(element);
    let name = RUNTIMES.iter().find_map(|runtime| name.strip_prefix(runtime)).unwrap_or(name);
    let is_id = name.len() == ID_LEN && name.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    is_id.then(|| name.to_owned())
}

/// `pod<UID>`, or `kubepods[-<class>]-pod<UID>.slice` with `_` for `-`.
fn pod(element: &str) -> Option<String> {
    let name = element.strip_suffix(".slice").unwrap_or(element);
    let (_, uid) =
        if name.starts_with("kubepods-") { name.rsplit_once("-pod")? } else { name.split_once("pod")? };
    let is_first = name.starts_with("kubepods-") || name.starts_with("pod");
    let uid = uid.replace('_', "-");
    let is_uid = uid.len() == UID_LEN && uid.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    (is_first && is_uid).then_some(uid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_innermost_container_and_its_pod_are_found() {
        const ID: &str = "3f0c9a1b2c3d4e5f60718293a4b5c6d7e8f90123456789abcdef0123456789ab";
        const OTHER: &str = "00009a1b2c3d4e5f60718293a4b5c6d7e8f90123456789abcdef0123456789ab";
        const UID: &str = "2c48913c-b29f-4b6e-8f1c-0a1b2c3d4e5f";
        let underscored = UID.replace('-', "_");
        for (path, id, pod) in [
            (format!("/docker/{ID}"), Some(ID), None),
            (format!("/system.slice/docker-{ID}.scope"), Some(ID), None),
            (format!("/system.slice/nerdctl-{ID}.scope"), Some(ID), None),
            (
                format!("/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-{ID}.scope"),
                Some(ID),
                None,
            ),
            (format!("/machine.slice/libpod-{ID}.scope/container"), Some(ID), None),
            (format!("/kubepods/burstable/pod{UID}/{ID}"), Some(ID), Some(UID)),
            (format!("/kubepods/pod{UID}/{ID}"), Some(ID), Some(UID)),
            (
                format!(
                    "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod{underscored}.slice/cri-containerd-{ID}.scope"
                ),
                Some(ID),
                Some(UID),
            ),
            (format!("/kubepods.slice/kubepods-pod{underscored}.slice/crio-{ID}.scope"), Some(ID), Some(UID)),
            (
                format!("/kubepods.slice/kubepods-pod{underscored}.slice/crio-conmon-{ID}.scope"),
                None,
                Some(UID),
            ),
            (format!("/docker/{OTHER}/docker/{ID}/init.scope"), Some(ID), None),
            (format!("/docker/{OTHER}/kubelet/kubepods/pod{UID}/{ID}"), Some(ID), Some(UID)),
            ("/system.slice/nginx.service".to_owned(), None, None),
            ("/".to_owned(), None, None),
            (format!("/docker/{}", &ID[1..]), None, None),
            (format!("/docker/{ID}0"), None, None),
            (format!("/docker/{}", ID.to_uppercase()), None, None),
            ("/podcast/podium-pod".to_owned(), None, None),
        ] {
            let expected = Container { id: id.map(str::to_owned), pod: pod.map(str::to_owned) };
            assert_eq!(Container::of(&path), expected, "{path}");
        }
    }
}
