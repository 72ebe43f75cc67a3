//! Usage texts of the common parser (`cli.md` 1.5), all on standard output.
#![forbid(unsafe_code)]

use super::Console;
use super::command_line::{Operands, Subcommand, Tool};

/// One line a subcommand.
pub fn short(tool: &Tool, console: &mut Console<'_>) {
    let name = console.tool().to_owned();
    console.line(format_args!("Usage:\t{name} -?,-V,--help"));
    for subcommand in tool.subcommands {
        console.line(format_args!("Usage:\t{name} {} [-?]", subcommand.name));
    }
}

/// One block a subcommand.
pub fn full(tool: &Tool, console: &mut Console<'_>) {
    let line = format!("Usage:\t{} -?,-V", console.tool());
    console.line(line);
    for subcommand in tool.subcommands {
        block(tool, subcommand, console);
    }
}

/// The block of one subcommand; it begins with an empty line.
pub fn block(tool: &Tool, subcommand: &Subcommand, console: &mut Console<'_>) {
    let options = match (subcommand.required, subcommand.options) {
        (_, "") => "",
        ("", _) => "[OPTIONS] ",
        _ => "<OPTIONS> ",
    };
    let operands = match subcommand.operands {
        Operands::None => String::new(),
        Operands::One(word) => format!("<{word}>"),
        Operands::Many(word) => format!("<{word} ...>"),
        Operands::Any(word) => format!("[{word} ...]"),
    };
    let mut text = format!("\nUsage:\t{} {} {options}{operands}\n", console.tool(), subcommand.name);
    if !subcommand.options.is_empty() {
        text.push_str("\tOPTIONS:\n");
    }
    let specs = subcommand
        .options
        .chars()
        .filter_map(|letter| tool.options.iter().find(|o| o.letter == letter));
    for option in specs {
        let argument = option.argument.map(|word| format!("<{word}>")).unwrap_or_default();
        text.push_str(&format!("\t\t-{}, --{}  {argument}\n", option.letter, option.long));
    }
    text.push_str(subcommand.help);
    console.text(text);
}
