//! The web app and the API.
#![forbid(unsafe_code)]
