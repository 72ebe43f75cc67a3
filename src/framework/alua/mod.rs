//! The pure ALUA core: access state machine of one LU on one node, and who may own a store.
