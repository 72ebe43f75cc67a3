use serde::{Deserialize, Serialize};
use std::fmt;

macro_rules! statuses {
    ($($name:ident = $value:literal, $text:literal;)*) => {
        /// What a libstmf call failed with (`libstmf-api.md` 1.1). Success is `Ok`. Values are the C ABI and never reused.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[repr(i32)]
        #[non_exhaustive]
        pub enum Status { $(#[doc = $text] $name = $value,)* }

        impl Status {
            /// Every status.
            pub const ALL: &'static [Status] = &[$(Status::$name),*];

            const fn text(self) -> &'static str {
                match self { $(Status::$name => $text,)* }
            }
        }
    };
}

statuses! {
    Error = 0x8000, "unclassified failure";
    Busy = 0x8001, "in use or changing state";
    NotFound = 0x8002, "not found";
    MemberNotFound = 0x8003, "not a member of the group";
    GroupNotFound = 0x8004, "group not found";
    Perm = 0x8005, "permission denied";
    NoMem = 0x8006, "out of memory";
    InvalidArg = 0x8007, "invalid argument";
    Exists = 0x8008, "exists already";
    ServiceNotFound = 0x8009, "STMF service not found";
    ServiceOnline = 0x800a, "STMF service is online";
    ServiceOffline = 0x800b, "STMF service is offline";
    GroupInUse = 0x800c, "a view entry uses the group";
    LunInUse = 0x800d, "LUN in use";
    VeConflict = 0x800e, "view entry conflict";
    ConfigNone = 0x800f, "configuration is not loaded";
    ServiceDataVersion = 0x8010, "configuration has an unknown version";
    InvalidHg = 0x8011, "no such host group";
    InvalidTg = 0x8012, "no such target group";
    ProvDataStale = 0x8013, "provider data changed meanwhile";
    NoProp = 0x8014, "property has no value";
    NoPropVal = 0x8015, "property value missing";
    MissingPropVal = 0x8016, "mandatory property missing";
    InvalidBlockSize = 0x8017, "invalid block size";
    FileAlready = 0x8018, "file in use";
    InvalidPropSize = 0x8019, "property value has the wrong size";
    InvalidProp = 0x8020, "invalid property";
    PersistType = 0x8021, "persist method unavailable";
    TgOnline = 0x8022, "target must be offline";
    AccessStateSet = 0x8023, "access state could not be changed, or is not active";
    NoPropStandby = 0x8024, "property not available on a standby LU";
    PostMsgFailed = 0x8025, "peer message refused";
    DoorInstalled = 0x8026, "a proxy door is installed already";
    FileInUse = 0x8100, "file belongs to a registered LU";
    InvalidBlkSize = 0x8101, "block size not allowed";
    GuidInUse = 0x8102, "GUID belongs to a registered LU";
    MetaFileName = 0x8103, "metadata file missing or unusable";
    DataFileName = 0x8104, "data file missing or unusable";
    SizeOutOfRange = 0x8105, "size out of range";
    LuBusy = 0x8106, "LU busy";
    MetaCreation = 0x8107, "metadata could not be written";
    FileSizeInvalid = 0x8108, "file or LU size invalid";
    WriteCacheSet = 0x8109, "write cache setting not available";
}

impl Status {
    /// The C value.
    pub const fn code(self) -> i32 {
        self as i32
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl std::error::Error for Status {}
