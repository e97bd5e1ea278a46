//! Operands that are no container: options of ps(1) without a dash, and commands of other programs.

use std::ffi::OsString;

use super::values::{is_key, quoted};
use crate::container::Runtime;

/// Commands of other programs, and what to type instead.
const COMMANDS: [(&[&str], &str); 11] = [
    (&["ps", "ls", "list", "containers", "container", "docker", "podman", "nerdctl", "crictl"], "ctr-ps -l"),
    (&["pods", "pod"], "ctr-ps -l -o +pod"),
    (&["top", "stats", "statsp"], "ctr-top"),
    (&["inspect", "inspectp", "volume", "mount"], "ctr-inspect TARGET"),
    (&["exec", "attach"], "nsenter -t TARGET"),
    (&["images", "image"], "ctr-ps -l -o container,image"),
    (&["port", "port-forward"], "ctr-ps -l -o +ports"),
    (&["network"], "ctr-ps -l -o +ip"),
    (&["compose"], "ctr-ps -l --project NAME"),
    (&["info", "system"], "ctrbox check"),
    (
        &[
            "logs", "run", "runp", "create", "start", "stop", "stopp", "restart", "kill", "rm", "rmp",
            "pause", "unpause", "pull", "build", "cp", "events",
        ],
        "docker, podman or crictl before it: ctr-ps only lists",
    ),
];

/// Options of ps without a dash that are often alone or in pairs. Others count only together with `a` and `x`.
const SHORT: &str = "a x e f l u h w r m j v L T V t p o k O U Z ux ef xf xu au af fx uf wx";

/// What each letter becomes, if not the word `ax`, `aux`, `axf` or `auxf`. `{}` stands for the next operand.
const LETTERS: [(char, &str); 21] = [
    ('j', "-o ppid,pid,pgid,sid,tty,state,uid,time,container,command"),
    ('l', "-o uid,pid,ppid,pri,nice,vsz,rss,wchan,state,tty,time,container,command"),
    ('v', "-o pid,tty,state,time,vsz,rss,mem,container,command"),
    ('o', "-o {}"),
    ('O', "-o +{}"),
    ('k', "--sort {}"),
    ('p', "-p {}"),
    ('q', "-p {}"),
    ('t', "-t {}"),
    ('U', "-u {}"),
    ('w', "-w"),
    ('h', "-n"),
    ('m', "-T"),
    ('H', "-T"),
    ('L', "-H"),
    ('V', "-V"),
    ('r', "-Q 'STATE == \"R\"'"),
    ('c', "-o pid,tty,state,time,container,cmd"),
    ('Z', "-o +lsm"),
    ('M', "-o +lsm"),
    ('T', "-t \"$(tty)\""),
];

/// Letters that need no counterpart.
const IGNORED: &str = "aAxefugnsSX";

/// The error for `k -KEY` of ps: the key looks like options.
pub(super) fn before_a_key(args: &[OsString]) -> Option<String> {
    let key = |pair: &[OsString]| pair[1].to_str().filter(|key| pair[0] == "k" && is_key(key)).map(quoted);
    args.windows(2).find_map(key).map(|key| format!("k is not an option; type --sort {key}"))
}

/// The error for options behind a command of another program that is no list, such as `exec -it`.
pub(super) fn of_command(args: &[OsString]) -> Option<String> {
    let first = args.first()?.to_str()?;
    let (_, instead) = COMMANDS.iter().find(|(words, _)| words.contains(&first))?;
    (!instead.starts_with("ctr-ps")).then(|| format!("no container '{first}'; type {instead}"))
}

/// What to type instead of an operand that is no container, with the operand after it.
pub(in crate::applets::ctr_ps) fn of_word(word: &str, next: Option<&str>) -> Option<String> {
    if let Some((_, instead)) = COMMANDS.iter().find(|(words, _)| words.contains(&word)) {
        return Some((*instead).to_owned());
    }
    let runtime = word.strip_suffix(':').unwrap_or(word);
    if Runtime::from_name(runtime).is_some() {
        return Some(format!("ctr-ps --runtime {runtime}"));
    }
    bsd(word, next)
}

/// The options for a word as `auxww` or `axjf`.
fn bsd(word: &str, next: Option<&str>) -> Option<String> {
    let row = |letter: char| LETTERS.iter().find(|(known, _)| *known == letter);
    let is_letter = |letter: char| IGNORED.contains(letter) || row(letter).is_some();
    let has = |letter: char| word.contains(letter);
    let is_bsd = (has('a') && has('x')) || SHORT.split(' ').any(|short| short == word);
    if !is_bsd || word.len() > 8 || !word.chars().all(is_letter) {
        return None;
    }
    let mut parts = vec!["ctr-ps".to_owned()];
    let own_columns = "jlvocLV".contains(has);
    let forest = has('f');
    match (own_columns, has('u'), forest) {
        (true, _, true) => parts.push("--forest".to_owned()),
        (true, _, false) => {}
        (false, true, _) => parts.push(if forest { "auxf" } else { "aux" }.to_owned()),
        (false, false, _) => parts.push(if forest { "axf" } else { "ax" }.to_owned()),
    }
    for (_, instead) in LETTERS.iter().filter(|(letter, _)| has(*letter)) {
        let value = instead.contains("{}").then(|| next.map_or_else(|| "LIST".to_owned(), quoted));
        let part = instead.replace("{}", &value.unwrap_or_default());
        if !parts.contains(&part) {
            parts.push(part);
        }
    }
    Some(parts.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_ps_without_a_dash() {
        let of =
            |word: &str, next: Option<&str>| of_word(word, next).map(|text| text.replacen("ctr-ps ", "", 1));
        for (word, next, instead) in [
            ("auxww", None, Some("aux -w")),
            ("faux", None, Some("auxf")),
            ("axo", Some("pid,comm"), Some("-o pid,comm")),
            ("axjf", None, Some("--forest -o ppid,pid,pgid,sid,tty,state,uid,time,container,command")),
            ("axZ", None, Some("ax -o +lsm")),
            ("k", Some("-rss"), Some("ax --sort -rss")),
            ("p", Some("1 2"), Some("ax -p '1 2'")),
            ("u", None, Some("aux")),
            ("ef", None, Some("axf")),
            ("docker:", None, Some("--runtime docker")),
            ("k8s", None, Some("--runtime k8s")),
            ("ps", None, Some("-l")),
            ("web", None, None),
            ("es", None, None),
            ("relaxation", None, None),
        ] {
            assert_eq!(of(word, next).as_deref(), instead, "{word}");
        }
    }
}
