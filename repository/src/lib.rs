//! What is stored: stores, sessions, packs and the index
