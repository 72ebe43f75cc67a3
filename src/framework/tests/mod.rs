//! The framework between models of its neighbours.

mod commands;
mod model;
