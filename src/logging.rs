//! Log lines of the library and the daemons: the `log` facade in front of syslog or standard error (`libstmf-api.md` 1.10).
