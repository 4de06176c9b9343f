//! The pg service.
