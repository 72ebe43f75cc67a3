//! REPORT SUPPORTED OPERATION CODES and REPORT SUPPORTED TASK MANAGEMENT FUNCTIONS parameter data (SPC-4 6.35, 6.36).

/// One command that is supported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Supported {
    /// CDB usage data: byte 0 is the opcode, the length that of the CDB.
    pub usage: &'static [u8],
    /// Service action, for an opcode that has them.
    pub service_action: Option<u8>,
}

/// Length of the command timeouts descriptor.
const TIMEOUTS: usize = 12;
const CTDP: u8 = 0x80;

/// All commands (reporting options 000b). Never cut: that is the allocation length's business.
pub fn all(commands: &[Supported], timeouts: bool) -> Vec<u8> {
    const SERVACTV: u8 = 0x01;
    const LIST_CTDP: u8 = 0x02;
    let mut data = vec![0; 4];
    for command in commands {
        let flags = if command.service_action.is_some() { SERVACTV } else { 0 } | if timeouts { LIST_CTDP } else { 0 };
        let action = command.service_action.unwrap_or(0);
        let size = u16::try_from(command.usage.len()).unwrap_or(0).to_be_bytes();
        data.extend([command.usage[0], 0, 0, action, 0, flags, size[0], size[1]]);
        if timeouts {
            data.extend(no_timeouts());
        }
    }
    let length = u32::try_from(data.len() - 4).expect("some dozen commands");
    data[..4].copy_from_slice(&length.to_be_bytes());
    data
}

/// One command (the other reporting options), or that it is not supported.
pub fn one(command: Option<&Supported>, timeouts: bool) -> Vec<u8> {
    const NOT_SUPPORTED: u8 = 1;
    const AS_STANDARD: u8 = 3;
    let Some(command) = command else {
        return vec![0, NOT_SUPPORTED, 0, 0];
    };
    let size = u16::try_from(command.usage.len()).unwrap_or(0).to_be_bytes();
    let mut data = vec![0, AS_STANDARD | if timeouts { CTDP } else { 0 }, size[0], size[1]];
    data.extend_from_slice(command.usage);
    if timeouts {
        data.extend(no_timeouts());
    }
    data
}

/// Nothing is known of the times.
fn no_timeouts() -> [u8; TIMEOUTS] {
    let mut descriptor = [0; TIMEOUTS];
    descriptor[1] = 0x0a;
    descriptor
}

/// ABORT TASK, ABORT TASK SET, CLEAR TASK SET, LOGICAL UNIT RESET and TARGET RESET; the extended form without timeouts.
pub fn task_management(extended: bool) -> Vec<u8> {
    const ATS_ATSS_CTSS_LURS_TRS: u8 = 0xda;
    let mut data = vec![0; if extended { 16 } else { 4 }];
    data[0] = ATS_ATSS_CTSS_LURS_TRS;
    if extended {
        data[3] = 0x0c;
    }
    data
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMANDS: [Supported; 2] = [
        Supported {
            usage: &[0, 0, 0, 0, 0, 4],
            service_action: None,
        },
        Supported {
            usage: &[0x9e, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 4],
            service_action: Some(0x10),
        },
    ];

    #[test]
    fn list() {
        let data = all(&COMMANDS, false);
        assert_eq!(
            data,
            [0, 0, 0, 16, 0, 0, 0, 0, 0, 0, 0, 6, 0x9e, 0, 0, 0x10, 0, 1, 0, 16]
        );
        let data = all(&COMMANDS, true);
        assert_eq!(data[..4], [0, 0, 0, 40]);
        assert_eq!(data[24..32], [0x9e, 0, 0, 0x10, 0, 3, 0, 16]);
        assert_eq!(data[32..], [0, 10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn single() {
        assert_eq!(one(None, true), [0, 1, 0, 0]);
        assert_eq!(one(Some(&COMMANDS[0]), false), [0, 3, 0, 6, 0, 0, 0, 0, 0, 4]);
        assert_eq!(one(Some(&COMMANDS[0]), true)[..4], [0, 0x83, 0, 6]);
        assert_eq!(task_management(true).len(), 16);
    }
}
