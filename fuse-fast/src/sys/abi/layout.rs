//! The layouts of this module against the kernel's header.
//!
//! The header of this machine (package linux-libc-dev) is asked through a C compiler. Structs that it does not have yet
//! are compared with a table taken from include/uapi/linux/fuse.h of Linux 6.18 (protocol 7.45).

use std::collections::HashMap;
use std::fmt::Write as _;
use std::process::Command;

use super::{Layout, layouts};

/// Structs since 7.39: name, size, and the offset of each field in Linux 6.18.
const NEWER: &[(&str, usize, &[usize])] = &[
    ("fuse_statx_in", 24, &[0, 4, 8, 16, 20]),
    ("fuse_backing_map", 16, &[0, 4, 8]),
    ("fuse_sx_time", 16, &[0, 8, 12]),
    (
        "fuse_statx",
        256,
        &[0, 4, 8, 16, 20, 24, 28, 30, 32, 40, 48, 56, 64, 80, 96, 112, 128, 132, 136, 140, 144],
    ),
    ("fuse_statx_out", 288, &[0, 8, 12, 16, 32]),
    ("fuse_uring_ent_in_out", 32, &[0, 8, 16, 20, 24]),
    ("fuse_uring_req_header", 288, &[0, 128, 256]),
    ("fuse_uring_cmd_req", 24, &[0, 8, 16, 18]),
];

/// Names that differ from the header's on purpose.
fn c_field(name: &str, field: &str) -> String {
    match (name, field) {
        (_, "type_") => "type".to_owned(),
        _ => field.to_owned(),
    }
}

/// Fields whose name is not the same in all versions of the header: reserved words that got a use in 7.40.
const RENAMED: &[(&str, &str)] =
    &[("fuse_init_out", "max_stack_depth"), ("fuse_init_out", "unused"), ("fuse_open_out", "backing_id")];

/// Size that the header gives a struct of which only the start is declared here.
fn prefix_of(name: &str) -> Option<&'static str> {
    match name {
        // Old kernels send 16 bytes; flags2 and reserved words follow since 7.36.
        "fuse_init_in" => Some("64"),
        // The form without FUSE_SETXATTR_EXT.
        "fuse_setxattr_in" => Some("16"),
        _ => None,
    }
}

fn compared_fields(layout: &Layout) -> impl Iterator<Item = &(&'static str, usize, usize)> {
    layout.fields.iter().filter(|(field, ..)| !RENAMED.contains(&(layout.name, field)))
}

fn is_newer(layout: &Layout) -> bool {
    NEWER.iter().any(|(name, ..)| *name == layout.name)
}

/// Output of a C program that prints `struct size` and `struct.field offset size`; `None` without header or compiler.
fn ask_header() -> Option<String> {
    let Ok(header) = std::fs::read_to_string("/usr/include/linux/fuse.h") else {
        println!("SKIP: no /usr/include/linux/fuse.h; install linux-libc-dev");
        return None;
    };
    if !header.contains("total_extlen") {
        println!("SKIP: linux-libc-dev is older than protocol 7.38");
        return None;
    }
    let directory = tempfile::tempdir().expect("a directory for the program");
    let (source, program) = (directory.path().join("layout.c"), directory.path().join("layout"));
    std::fs::write(&source, c_program()).expect("writable");
    let compiled = Command::new("cc").arg("-o").arg(&program).arg(&source).output();
    let Ok(output) = compiled else {
        println!("SKIP: no C compiler; install gcc");
        return None;
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let output = Command::new(&program).output().expect("the program runs");
    Some(String::from_utf8(output.stdout).expect("ASCII"))
}

fn c_program() -> String {
    let mut c =
        String::from("#include <stdio.h>\n#include <stddef.h>\n#include <linux/fuse.h>\nint main(void) {\n");
    for layout in layouts().iter().filter(|layout| !is_newer(layout)) {
        let name = layout.name;
        writeln!(c, "printf(\"{name} %zu\\n\", sizeof(struct {name}));").expect("a String takes all");
        for (field, ..) in compared_fields(layout) {
            let member = c_field(name, field);
            writeln!(
                c,
                "printf(\"{name}.{field} %zu %zu\\n\", offsetof(struct {name}, {member}), \
                 sizeof(((struct {name} *)0)->{member}));"
            )
            .expect("a String takes all");
        }
    }
    c + "return 0; }\n"
}

#[test]
fn structs_match_the_header_of_this_machine() {
    let Some(printed) = ask_header() else { return };
    let header: HashMap<&str, &str> = printed.lines().filter_map(|line| line.split_once(' ')).collect();
    let mut compared = 0;
    for layout in layouts().iter().filter(|layout| !is_newer(layout)) {
        let size = prefix_of(layout.name).map_or(layout.size.to_string(), str::to_owned);
        assert_eq!(header.get(layout.name), Some(&size.as_str()), "size of {}", layout.name);
        for (field, offset, size) in compared_fields(layout) {
            let name = format!("{}.{field}", layout.name);
            let ours = format!("{offset} {size}");
            assert_eq!(header.get(name.as_str()), Some(&ours.as_str()), "offset and size of {name}");
            compared += 1;
        }
    }
    assert!(compared > 150, "only {compared} fields were compared");
}

#[test]
fn newer_structs_match_linux_6_18() {
    let all = layouts();
    for (name, size, offsets) in NEWER {
        let layout = all.iter().find(|layout| layout.name == *name).expect("declared");
        let ours: Vec<usize> = layout.fields.iter().map(|(_, offset, _)| *offset).collect();
        assert_eq!((layout.size, ours.as_slice()), (*size, *offsets), "{name}");
    }
}
