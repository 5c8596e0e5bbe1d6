//! A snapshot becomes chunks in a repository
