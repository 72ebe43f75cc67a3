//! The framework between models of its neighbours.

mod commands;
mod configuration;
mod extras;
mod io;
mod management;
mod mirror;
mod model;
mod order;
mod pair;
mod persistence;
mod ports;
mod stress;
mod tasks;
