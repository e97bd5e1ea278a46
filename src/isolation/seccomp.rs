//! Builds a seccomp filter from a runtime's profile (OCI's `linux.seccomp`), like the one that libseccomp built when
//! the container was started.

use serde::Deserialize;

use super::syscalls;
use crate::sys;

#[derive(Deserialize, Debug, Clone)]
#[serde(rename_all = "camelCase")]
pub struct Profile {
    default_action: String,
    #[serde(default)]
    default_errno_ret: Option<u32>,
    #[serde(default)]
    flags: Vec<String>,
    #[serde(default)]
    syscalls: Vec<Rule>,
}

#[derive(Deserialize, Debug, Clone)]
#[serde(rename_all = "camelCase")]
struct Rule {
    names: Vec<String>,
    action: String,
    #[serde(default)]
    errno_ret: Option<u32>,
    #[serde(default)]
    args: Vec<Arg>,
}

#[derive(Deserialize, Debug, Clone)]
#[serde(rename_all = "camelCase")]
struct Arg {
    index: u32,
    value: u64,
    #[serde(default)]
    value_two: u64,
    op: String,
}

/// BPF instructions of the filter.
pub struct Filter {
    program: Vec<libc::sock_filter>,
    flags: u32,
}

/// The result of a filter: SECCOMP_RET_*.
type Action = u32;
const ALLOW: Action = 0x7fff_0000;
const ERRNO: Action = 0x0005_0000;

/// The kernel's limit, BPF_MAXINSNS.
const LONGEST: usize = 4096;

impl Filter {
    /// Err: the part of the profile that is not supported.
    pub fn build(profile: &Profile) -> Result<Filter, String> {
        let arch = syscalls::AUDIT_ARCH.ok_or("the system calls of this machine are not known")?;
        let default = action(&profile.default_action, profile.default_errno_ret)?;
        let mut flags = 0;
        for flag in &profile.flags {
            flags |= match flag.as_str() {
                "SECCOMP_FILTER_FLAG_TSYNC" => 0, // ctrbox has one thread
                "SECCOMP_FILTER_FLAG_LOG" => 2,
                "SECCOMP_FILTER_FLAG_SPEC_ALLOW" => 4,
                other => return Err(format!("flag {other}")),
            };
        }
        let program = program(profile, arch, default)?;
        if program.len() > LONGEST {
            return Err("too many rules".to_owned());
        }
        Ok(Filter { program, flags })
    }

    /// Serializes the filter for another process of ctrbox.
    pub fn to_bytes(&self) -> Vec<u8> {
        let instructions = self.program.iter().flat_map(|one| {
            let ([c, d], [a, b, e, f]) = (one.code.to_ne_bytes(), one.k.to_ne_bytes());
            [c, d, one.jt, one.jf, a, b, e, f]
        });
        self.flags.to_ne_bytes().into_iter().chain(instructions).collect()
    }

    /// Reads the result of [`Filter::to_bytes`].
    pub fn from_bytes(bytes: &[u8]) -> Option<Filter> {
        let (flags, rest) = bytes.split_first_chunk::<4>()?;
        let instruction = |one: &[u8]| {
            let &[c, d, jt, jf, a, b, e, f] = <&[u8; 8]>::try_from(one).ok()?;
            let (code, k) = (u16::from_ne_bytes([c, d]), u32::from_ne_bytes([a, b, e, f]));
            Some(libc::sock_filter { code, jt, jf, k })
        };
        let program = rest.chunks(8).map(instruction).collect::<Option<_>>()?;
        Some(Filter { program, flags: u32::from_ne_bytes(*flags) })
    }

    pub fn install(mut self) -> nix::Result<()> {
        sys::install_filter(&mut self.program, self.flags)
    }
}

fn action(name: &str, errno: Option<u32>) -> Result<Action, String> {
    let errno = errno.unwrap_or(libc::EPERM.unsigned_abs()) & 0xffff;
    Ok(match name {
        "SCMP_ACT_ALLOW" => ALLOW,
        "SCMP_ACT_ERRNO" => ERRNO | errno,
        "SCMP_ACT_KILL" | "SCMP_ACT_KILL_THREAD" => 0,
        "SCMP_ACT_KILL_PROCESS" => 0x8000_0000,
        "SCMP_ACT_TRAP" => 0x0003_0000,
        "SCMP_ACT_LOG" => 0x7ffc_0000,
        // A user-space supervisor decides on each call, and ctrbox does not know it.
        other => return Err(format!("action {other}")),
    })
}

/// The decision for one system call.
#[derive(Default, Clone)]
struct Decision {
    always: Option<Action>,
    /// All conditions of a list must hold.
    when: Vec<(Vec<Arg>, Action)>,
}

/// Calls of another architecture (32-bit programs) get the default action, because their numbers differ. This is
/// stricter than the profile. System calls newer than the profile also get it, but with ENOSYS, so that programs try
/// an older call.
fn program(profile: &Profile, arch: u32, default: Action) -> Result<Vec<libc::sock_filter>, String> {
    let mut decisions: std::collections::BTreeMap<u32, Decision> = std::collections::BTreeMap::new();
    let mut conditional = 0;
    for rule in &profile.syscalls {
        let action = action(&rule.action, rule.errno_ret)?;
        for (number, _) in syscalls::all().filter(|(_, name)| rule.names.iter().any(|rule| rule == name)) {
            let decision = decisions.entry(number).or_default();
            if rule.args.is_empty() {
                decision.always = Some(action);
            } else {
                // Each rule is at least one instruction. This limits the time for a large profile.
                conditional += rule.args.len();
                if conditional > LONGEST {
                    return Err("too many rules".to_owned());
                }
                decision.when.extend(alternatives(&rule.args).map(|args| (args, action)));
            }
        }
    }
    let newer = if default & 0xffff_0000 == ERRNO { ERRNO | libc::ENOSYS.unsigned_abs() } else { default };
    let newest = decisions.keys().next_back().copied().unwrap_or(0);

    let mut code = vec![load(ARCH), jump(EQUAL, arch, 1, 0), ret(default), load(NUMBER)];
    // x32 programs have the same architecture value, but their own numbers.
    code.extend([jump(AT_LEAST, 0x4000_0000, 0, 1), ret(default)]);
    code.extend([jump(GREATER, newest, 0, 1), ret(newer)]);
    for (number, decision) in decisions.iter().filter(|(_, decision)| decision.always.is_none()) {
        let tests = conditions(decision, default)?;
        // Too far for an 8-bit jump: jump over a long jump instead.
        code.push(jump(EQUAL, *number, 1, 0));
        code.push(instruction(JUMP, u32::try_from(tests.len()).unwrap_or(u32::MAX), 0, 0));
        code.extend(tests);
    }
    for (first, last, action) in ranges(&decisions).filter(|(_, _, action)| *action != default) {
        code.extend([jump(AT_LEAST, first, 0, 2), jump(GREATER, last, 1, 0), ret(action)]);
    }
    code.push(ret(default));
    Ok(code)
}

/// Several conditions on one argument are alternatives, as in runc: libseccomp accepts only one per argument and
/// rule.
fn alternatives(args: &[Arg]) -> Box<dyn Iterator<Item = Vec<Arg>> + '_> {
    let twice = args.iter().any(|arg| args.iter().filter(|other| other.index == arg.index).count() > 1);
    match twice {
        true => Box::new(args.iter().map(|arg| vec![arg.clone()])),
        false => Box::new(std::iter::once(args.to_vec())),
    }
}

/// Merges consecutive calls with the same decision.
fn ranges(decisions: &std::collections::BTreeMap<u32, Decision>) -> impl Iterator<Item = (u32, u32, Action)> {
    let mut runs: Vec<(u32, u32, Action)> = Vec::new();
    for (&number, action) in decisions.iter().filter_map(|(n, decision)| Some((n, decision.always?))) {
        match runs.last_mut() {
            Some((_, last, same)) if *last + 1 == number && *same == action => *last = number,
            _ => runs.push((number, number, action)),
        }
    }
    runs.into_iter()
}

const ARCH: u32 = 4;
const NUMBER: u32 = 0;
const JUMP: u32 = libc::BPF_JMP | libc::BPF_JA;
const EQUAL: u32 = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
const GREATER: u32 = libc::BPF_JMP | libc::BPF_JGT | libc::BPF_K;
const AT_LEAST: u32 = libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K;
const AND: u32 = libc::BPF_ALU | libc::BPF_AND | libc::BPF_K;

/// The instructions for a call whose result depends on its arguments; they end with a result.
fn conditions(decision: &Decision, default: Action) -> Result<Vec<libc::sock_filter>, String> {
    let mut code = Vec::new();
    for (args, action) in &decision.when {
        let mut tests: Vec<Vec<Test>> = Vec::new();
        for arg in args {
            tests.push(compare(arg)?);
        }
        // Each test jumps past the result of this rule when it fails.
        let mut rule = Vec::new();
        let length: usize = tests.iter().flatten().map(Test::len).sum::<usize>() + 1;
        for test in tests.iter().flatten() {
            let end = length - rule.len() - test.len();
            test.write(&mut rule, u8::try_from(end).map_err(|_| "too many conditions")?);
        }
        rule.push(ret(*action));
        code.extend(rule);
    }
    code.push(ret(default));
    Ok(code)
}

/// Compares one half of an argument, because BPF instructions have 32 bits: loads, applies the mask, jumps.
struct Test {
    offset: u32,
    mask: Option<u32>,
    code: u32,
    value: u32,
    /// Must the comparison hold, or fail?
    holds: bool,
}

impl Test {
    fn len(&self) -> usize {
        2 + usize::from(self.mask.is_some())
    }

    /// If the test fails, skips `past` instructions after it.
    fn write(&self, code: &mut Vec<libc::sock_filter>, past: u8) {
        code.push(load(self.offset));
        code.extend(self.mask.map(|mask| instruction(AND, mask, 0, 0)));
        let (hit, miss) = if self.holds { (0, past) } else { (past, 0) };
        code.push(jump(self.code, self.value, hit, miss));
    }
}

/// Profiles mostly use EQ and MASKED_EQ. Another operator is supported only if one half of the
/// argument decides the comparison.
fn compare(arg: &Arg) -> Result<Vec<Test>, String> {
    if arg.index > 5 {
        return Err(format!("argument {}", arg.index));
    }
    // struct seccomp_data: number, architecture, instruction pointer, six arguments of 64 bits.
    let low = 16 + 8 * arg.index + if cfg!(target_endian = "big") { 4 } else { 0 };
    let high = 16 + 8 * arg.index + if cfg!(target_endian = "big") { 0 } else { 4 };
    let half = |offset, mask: u64, value: u64, shift: u32| Test {
        offset,
        mask: Some((mask >> shift) as u32).filter(|&mask| mask != u32::MAX),
        code: EQUAL,
        value: (value >> shift) as u32,
        holds: true,
    };
    let both = |mask, value| vec![half(high, mask, value, 32), half(low, mask, value, 0)];
    let small = u32::try_from(arg.value);
    let one = |code, value, holds| {
        let zero = Test { offset: high, mask: None, code: EQUAL, value: 0, holds: true };
        vec![zero, Test { offset: low, mask: None, code, value, holds }]
    };
    match (arg.op.as_str(), small) {
        ("SCMP_CMP_EQ", _) => Ok(both(u64::MAX, arg.value)),
        ("SCMP_CMP_MASKED_EQ", _) => Ok(both(arg.value, arg.value_two & arg.value)),
        ("SCMP_CMP_LT", Ok(value)) => Ok(one(AT_LEAST, value, false)),
        ("SCMP_CMP_LE", Ok(value)) => Ok(one(GREATER, value, false)),
        // Either half may differ, which tests that must all hold cannot express. Profiles compare only arguments of
        // 32 bits in this way (the family of socket(2)).
        ("SCMP_CMP_NE", Ok(value)) => {
            Ok(vec![Test { offset: low, mask: None, code: EQUAL, value, holds: false }])
        }
        (op, _) => Err(format!("comparison {op}")),
    }
}

fn load(offset: u32) -> libc::sock_filter {
    instruction(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, offset, 0, 0)
}

fn jump(code: u32, value: u32, hit: u8, miss: u8) -> libc::sock_filter {
    instruction(code, value, hit, miss)
}

fn ret(action: Action) -> libc::sock_filter {
    instruction(libc::BPF_RET | libc::BPF_K, action, 0, 0)
}

fn instruction(code: u32, k: u32, jt: u8, jf: u8) -> libc::sock_filter {
    libc::sock_filter { code: code as u16, jt, jf, k }
}

#[cfg(test)]
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod tests {
    use super::*;

    /// Simulates the filter: the instructions that it uses, on one struct seccomp_data.
    fn answer(filter: &Filter, number: i64, args: [u64; 6], arch: u32) -> Action {
        let mut data = Vec::new();
        data.extend(u32::try_from(number).expect("a number").to_le_bytes());
        data.extend(arch.to_le_bytes());
        data.extend(0_u64.to_le_bytes());
        args.iter().for_each(|arg| data.extend(arg.to_le_bytes()));
        let (mut at, mut accumulator) = (0_usize, 0_u32);
        loop {
            let step = filter.program[at];
            at += 1;
            let jump = |hit: bool| usize::from(if hit { step.jt } else { step.jf });
            match u32::from(step.code) {
                code if code == libc::BPF_LD | libc::BPF_W | libc::BPF_ABS => {
                    let bytes = &data[step.k as usize..step.k as usize + 4];
                    accumulator = u32::from_le_bytes(bytes.try_into().expect("four bytes"));
                }
                JUMP => at += step.k as usize,
                EQUAL => at += jump(accumulator == step.k),
                GREATER => at += jump(accumulator > step.k),
                AT_LEAST => at += jump(accumulator >= step.k),
                AND => accumulator &= step.k,
                code if code == libc::BPF_RET | libc::BPF_K => return step.k,
                code => panic!("instruction {code:#x}"),
            }
        }
    }

    fn build(text: &str) -> Result<Filter, String> {
        // Also tests the serialization.
        let filter = Filter::build(&serde_json::from_str(text).expect("a profile"))?;
        Ok(Filter::from_bytes(&filter.to_bytes()).expect("the same filter"))
    }

    const EPERM: Action = ERRNO | 1;
    const ENOSYS: Action = ERRNO | 38;

    /// In the form of Docker's profile.
    const PROFILE: &str = r#"{"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 1,
        "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"], "syscalls": [
        {"names": ["read", "write", "close", "openat", "not_a_call", "statx"], "action": "SCMP_ACT_ALLOW"},
        {"names": ["personality"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 0, "value": 8, "op": "SCMP_CMP_EQ"}]},
        {"names": ["personality"], "action": "SCMP_ACT_ALLOW",
         "args": [{"index": 0, "value": 4294967295, "op": "SCMP_CMP_EQ"}]},
        {"names": ["clone"], "action": "SCMP_ACT_ALLOW",
         "args": [{"index": 0, "value": 2114060288, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"}]},
        {"names": ["socket"], "action": "SCMP_ACT_ALLOW",
         "args": [{"index": 0, "value": 40, "op": "SCMP_CMP_NE"}, {"index": 1, "value": 5, "op": "SCMP_CMP_LE"}]},
        {"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38},
        {"names": ["mseal"], "action": "SCMP_ACT_LOG"}]}"#;

    #[test]
    fn every_rule_of_a_profile() {
        let filter = build(PROFILE).expect("a filter");
        let native = syscalls::AUDIT_ARCH.expect("a machine");
        let call = |number, first, second| answer(&filter, number, [first, second, 0, 0, 0, 0], native);
        for number in [libc::SYS_read, libc::SYS_write, libc::SYS_close, libc::SYS_openat, libc::SYS_statx] {
            assert_eq!(call(number, 0, 0), ALLOW, "{number}");
        }
        for number in [libc::SYS_ptrace, libc::SYS_unshare, libc::SYS_mount, libc::SYS_bpf] {
            assert_eq!(call(number, 0, 0), EPERM, "{number}");
        }
        assert_eq!(call(libc::SYS_personality, 8, 0), ALLOW);
        assert_eq!(call(libc::SYS_personality, 0xffff_ffff, 0), ALLOW);
        assert_eq!(call(libc::SYS_personality, 0, 0), EPERM);
        assert_eq!(call(libc::SYS_personality, 1 << 32 | 8, 0), EPERM, "both halves count");
        let new_user = u64::from(libc::CLONE_NEWUSER.unsigned_abs());
        assert_eq!(call(libc::SYS_clone, 0x11, 0), ALLOW);
        assert_eq!(call(libc::SYS_clone, 0x11 | new_user, 0), EPERM);
        assert_eq!(call(libc::SYS_socket, 1, 5), ALLOW);
        assert_eq!(call(libc::SYS_socket, 40, 5), EPERM);
        assert_eq!(call(libc::SYS_socket, 1, 6), EPERM, "all conditions of a rule");
        assert_eq!(call(libc::SYS_clone3, 0, 0), ENOSYS);
        assert_eq!(call(libc::SYS_mseal, 0, 0), 0x7ffc_0000);
        assert_eq!(call(libc::SYS_mseal + 1, 0, 0), ENOSYS, "newer than the profile");
        assert_eq!(answer(&filter, libc::SYS_read, [0; 6], 0x4000_0003), EPERM, "another architecture");
        assert_eq!(call(0x4000_0000 | libc::SYS_read, 0, 0), EPERM, "x32");
    }

    #[test]
    fn unsupported_parts_are_reported() {
        let with = |part: &str| build(&format!(r#"{{"defaultAction": "SCMP_ACT_ALLOW", {part}}}"#)).err();
        assert_eq!(with(r#""syscalls": []"#), None);
        let rule = |rest: &str| with(&format!(r#""syscalls": [{{"names": ["read"], {rest}}}]"#));
        assert_eq!(rule(r#""action": "SCMP_ACT_NOTIFY""#).as_deref(), Some("action SCMP_ACT_NOTIFY"));
        let arg = |op: &str, value: u64| {
            rule(&format!(
                r#""action": "SCMP_ACT_KILL", "args": [{{"index": 0, "value": {value}, "op": "{op}"}}]"#
            ))
        };
        assert_eq!(arg("SCMP_CMP_LT", 7), None);
        assert_eq!(arg("SCMP_CMP_GT", 7).as_deref(), Some("comparison SCMP_CMP_GT"));
        assert_eq!(arg("SCMP_CMP_LT", 1 << 40).as_deref(), Some("comparison SCMP_CMP_LT"));
        assert_eq!(with(r#""flags": ["X"]"#).as_deref(), Some("flag X"));
        assert!(serde_json::from_str::<Profile>("{}").is_err());
    }

    #[test]
    fn the_kernel_accepts_the_filter() {
        use nix::sys::wait::{WaitStatus, waitpid};
        use nix::unistd::ForkResult;
        let allow = r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
            {"names": ["getppid"], "action": "SCMP_ACT_ERRNO", "errnoRet": 42}]}"#;
        let filter = build(allow).expect("a filter");
        match sys::fork().expect("a child") {
            ForkResult::Child => {
                _ = nix::sys::prctl::set_no_new_privs();
                let installed = filter.install().is_ok();
                // (it returns the errno as a PID, because getppid cannot fail)
                let refused = nix::unistd::getppid().as_raw() < 0 || nix::errno::Errno::last_raw() == 42;
                std::process::exit(i32::from(!(installed && refused)));
            }
            ForkResult::Parent { child } => {
                assert_eq!(waitpid(child, None), Ok(WaitStatus::Exited(child, 0)));
            }
        }
    }
}
