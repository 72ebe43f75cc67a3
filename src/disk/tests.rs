//! Provider and ownership on real files.
