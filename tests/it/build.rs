//! `build.sh` as a packager runs it, on a project of one line: in a directory with any name, with flags and linkers of the
//! packager. And the memory that the binary asks for.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

use crate::common::{self, Scratch, program, project, run, skip, stderr, stdout, there};

/// A project that build.sh takes for ctrbox.
struct Project {
    directory: PathBuf,
    _scratch: Scratch,
}

impl Project {
    fn new(name: &str) -> Option<Project> {
        if !there("cargo") {
            skip("cargo", "it is not installed");
            return None;
        }
        let scratch = Scratch::new(name);
        let directory = scratch.0.join("a, b  c");
        std::fs::create_dir_all(directory.join("src")).expect("a directory");
        for file in ["build.sh", "no-unwinding.ld", "start-order.ld", "start-data.ld"] {
            std::fs::copy(project(file), directory.join(file)).expect("a copy");
        }
        let package = "name = \"ctrbox\"\nversion = \"0.1.0\"\n";
        for (file, text) in [
            ("Cargo.toml", format!("[workspace]\n[package]\nedition = \"2024\"\n{package}")),
            ("Cargo.lock", format!("version = 4\n[[package]]\n{package}")),
            ("src/main.rs", "fn main() { println!(\"{} {}\", cfg!(one), cfg!(two)); }\n".to_owned()),
        ] {
            std::fs::write(directory.join(file), text).expect("a file");
        }
        Some(Project { directory, _scratch: scratch })
    }

    /// build.sh with these variables, and with none of a build around the tests.
    fn build(&self, variables: &[(&str, &str)]) -> Output {
        let mut command = program("sh");
        command.arg("build.sh").current_dir(&self.directory).env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "0");
        let outer = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
        let linkers = outer.filter(|name| name.starts_with("CARGO_TARGET_"));
        let others =
            ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "TARGET", "PIE", "DEBUG", "AUDITABLE", "UNIT_TESTS"];
        linkers.chain(others.map(str::to_owned)).for_each(|name| {
            command.env_remove(name);
        });
        run(command.envs(variables.iter().copied()))
    }

    #[track_caller]
    fn builds(&self, variables: &[(&str, &str)]) -> String {
        let output = self.build(variables);
        assert!(output.status.success(), "{variables:?}: {}", stderr(&output));
        stderr(&output)
    }

    fn binary(&self, target: &str) -> PathBuf {
        self.directory.join(target).join("release/ctrbox")
    }
}

fn says(binary: &Path) -> String {
    stdout(&run(&mut program(binary.to_str().expect("text"))))
}

#[test]
fn a_build_takes_any_blank_and_comma() {
    let Some(project) = Project::new("build-blanks") else { return };
    let flags = " \n --cfg  one\t--cfg two \n";
    project.builds(&[("RUSTFLAGS", flags), ("CARGO_TARGET_DIR", "an, other  one")]);
    assert_eq!(says(&project.binary("an, other  one")), "true true\n");
    project.builds(&[("CARGO_ENCODED_RUSTFLAGS", "--cfg\x1fone"), ("RUSTFLAGS", "--nonsense")]);
    assert_eq!(says(&project.binary("target")), "true false\n");
}

#[test]
fn a_build_does_what_changed_and_no_more() {
    let Some(project) = Project::new("build-again") else { return };
    assert!(project.builds(&[]).contains("Compiling"));
    let built = std::fs::metadata(project.binary("target")).and_then(|file| file.modified()).expect("a time");
    assert!(!project.builds(&[]).contains("Compiling"));
    for script in ["no-unwinding.ld", "start-order.ld", "start-data.ld"] {
        let file = std::fs::File::options().append(true).open(project.directory.join(script)).expect(script);
        file.set_modified(built + Duration::from_secs(3600)).expect(script);
        assert!(project.builds(&[]).contains("Compiling"), "{script}");
        file.set_modified(built).expect(script);
    }
}

/// Only GNU ld takes the linker scripts.
#[test]
fn a_build_takes_every_linker() {
    let Some(project) = Project::new("build-linkers") else { return };
    let sysroot = stdout(&run(program("rustc").args(["--print", "sysroot"])));
    let version = stdout(&run(program("rustc").arg("-vV")));
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).expect("a host");
    let lld = format!("{}/lib/rustlib/{host}/bin/gcc-ld", sysroot.trim());
    let machine = host.split('-').next().expect("a machine");
    let variable = format!("CARGO_TARGET_{}_UNKNOWN_LINUX_MUSL_LINKER", machine.to_uppercase());

    let wrapper = project.directory.join("cc-lld");
    std::fs::write(&wrapper, format!("#!/bin/sh\nexec cc -fuse-ld=lld -B'{lld}' \"$@\"\n")).expect("a file");
    std::fs::set_permissions(&wrapper, PermissionsExt::from_mode(0o755)).expect("a mode");
    let by_gcc = format!("-Clink-arg=-fuse-ld=lld -Clink-arg=-B{lld}");

    let mut cases = vec![("RUSTFLAGS", "-Clinker=cc")];
    if Path::new(&lld).is_dir() {
        cases.extend([("RUSTFLAGS", &*by_gcc), (&*variable, wrapper.to_str().expect("text"))]);
        cases.extend([("RUSTFLAGS", "-Clinker=rust-lld"), (&*variable, "rust-lld")]);
    }
    for (program, flags) in [("ld.gold", "-Clink-arg=-fuse-ld=gold"), ("ld.mold", "-Clink-arg=-fuse-ld=mold")]
    {
        cases.extend(there(program).then_some(("RUSTFLAGS", flags)));
    }
    for case in cases {
        project.builds(&[case]);
        assert_eq!(says(&project.binary("target")), "false false\n", "{case:?}");
    }
}

#[test]
fn a_build_is_position_independent_or_fails() {
    let Some(project) = Project::new("build-pie") else { return };
    let is_position_independent = || kind(&std::fs::read(project.binary("target")).expect("a binary")) == 3;
    project.builds(&[("PIE", "0")]);
    assert!(!is_position_independent());
    let output = project.build(&[("PIE", "1")]);
    if output.status.success() {
        assert!(is_position_independent());
    } else {
        assert!(stderr(&output).contains("no static position-independent executable"), "{}", stderr(&output));
    }
}

/// rustc of Alpine links the C library dynamically, as with this flag.
#[test]
fn a_build_is_static() {
    let Some(project) = Project::new("build-static") else { return };
    project.builds(&[("RUSTFLAGS", "-Ctarget-feature=-crt-static")]);
    assert!(is_static(&segments(&std::fs::read(project.binary("target")).expect("a binary"))));
}

/// Of ELF: 2 is a program at fixed addresses, 3 is position-independent.
fn kind(elf: &[u8]) -> u16 {
    u16::from_ne_bytes(at(elf, 16))
}

fn at<const N: usize>(bytes: &[u8], offset: usize) -> [u8; N] {
    bytes[offset..offset + N].try_into().expect("so many bytes")
}

/// The type and flags of each program header of a 64-bit file.
fn segments(elf: &[u8]) -> Vec<(u32, u32)> {
    let (start, count) = (u64::from_ne_bytes(at(elf, 32)), u16::from_ne_bytes(at(elf, 56)));
    let start = usize::try_from(start).expect("an offset");
    let headers = (0..usize::from(count)).map(|number| start + number * 56);
    headers
        .map(|header| (u32::from_ne_bytes(at(elf, header)), u32::from_ne_bytes(at(elf, header + 4))))
        .collect()
}

/// Whether no segment names a dynamic linker.
fn is_static(segments: &[(u32, u32)]) -> bool {
    segments.iter().all(|(kind, _)| *kind != 3)
}

#[test]
fn no_memory_is_writable_and_executable() {
    const LOAD: u32 = 1;
    const STACK: u32 = 0x6474_e551;
    const RUN: u32 = 1;
    const WRITE: u32 = 2;
    let segments = segments(&std::fs::read(common::binary()).expect("the binary"));
    assert!(segments.iter().any(|(kind, flags)| *kind == STACK && flags & RUN == 0), "{segments:x?}");
    let loaded: Vec<u32> =
        segments.iter().filter(|(kind, _)| *kind == LOAD).map(|(_, flags)| *flags).collect();
    assert!(loaded.iter().all(|flags| flags & (RUN | WRITE) != RUN | WRITE), "{loaded:x?}");
    // Constants are not executable either, where build.sh decides.
    assert!(!is_static(&segments) || loaded.iter().any(|flags| flags & (RUN | WRITE) == 0), "{loaded:x?}");
}
