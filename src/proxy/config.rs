use std::time::Duration;

/// Limits and times (`alua-proxy.md` 8.1, 8.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Config {
    /// Between two ECHO probes.
    pub probe: Duration,
    /// Silence after which the peer counts as unreachable.
    pub silence: Duration,
    /// Registrations go out so long after the first probe even if nobody answered it.
    pub greeting: Duration,
    /// A forwarded write is started by the owner so long after it gave out the token that the write carries (7.7), not
    /// later: whoever forwarded it knows then that it will not happen any more. Longer than `probe`.
    pub write_life: Duration,
    /// A forwarded command without any answer; restarted by each SCSI_DATA.
    pub command: Duration,
    /// The peer's part of a task management function.
    pub management: Duration,
    /// An answer to a request about the other node.
    pub exchange: Duration,
    /// First wait for STATUS of REGISTER_PROXY_PORT; doubles.
    pub registration: Duration,
    /// Longest wait for STATUS of REGISTER_PROXY_PORT.
    pub registration_max: Duration,
    /// A registration round ends so long after its last announcement.
    pub round: Duration,
    /// Wait before a busy image is deregistered again.
    pub deregistration: Duration,
    /// A door call that does not return.
    pub upcall: Duration,
    /// Pause after a door call for which the server had no thread.
    pub upcall_pause: Duration,
    /// How long ended sessions of the peer are remembered (8.4).
    pub remember_sessions: Duration,
    /// Data in one SCSI_DATA, bytes, either way.
    pub piece: usize,
    /// Unconfirmed SCSI_DATA, or unanswered R2T, per task between two of our nodes. One with an original peer.
    pub window: usize,
    /// Immediate data in one SCSI_CMD, bytes.
    pub immediate: usize,
    /// Data of forwarded writes that is being collected here, bytes.
    pub collecting: usize,
    /// Forwarded commands under way.
    pub commands: usize,
    /// Forwarded commands under way for one LU.
    pub commands_per_lu: usize,
    /// Messages in the send queue; commands are refused above half.
    pub queue_messages: usize,
    /// Bytes in the send queue; commands are refused above half.
    pub queue_bytes: usize,
    /// Messages of the peer waiting for the dispatcher; above, `post` waits.
    pub receive_queue: usize,
    /// Registrations held while ALUA mode is disabled, and announcements kept for the peer.
    pub objects: usize,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            probe: Duration::from_secs(2),
            silence: Duration::from_secs(6),
            greeting: Duration::from_millis(500),
            write_life: Duration::from_secs(4),
            command: Duration::from_secs(30),
            management: Duration::from_secs(5),
            exchange: Duration::from_secs(10),
            registration: Duration::from_secs(5),
            registration_max: Duration::from_secs(60),
            round: Duration::from_secs(3),
            deregistration: Duration::from_secs(1),
            upcall: Duration::from_secs(10),
            upcall_pause: Duration::from_secs(1),
            remember_sessions: Duration::from_secs(60),
            piece: 128 << 10,
            window: 4,
            immediate: 256 << 10,
            collecting: 256 << 20,
            commands: 1024,
            commands_per_lu: 128,
            queue_messages: 8192,
            queue_bytes: 64 << 20,
            receive_queue: 8192,
            objects: 65_536,
        }
    }
}
