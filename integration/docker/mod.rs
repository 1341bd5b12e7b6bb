//! The sidecar in containers of a real Docker engine: `deploy/Dockerfile`'s image, an agent without
//! capabilities in the same network, and an outside that notices whatever gets past.
//!
//! As in a pod of Kubernetes, a container that does nothing holds the network, so that neither the
//! sidecar's end nor the agent's takes it away from the other.
//!
//! An engine needs root: without it these tests do nothing; the gate runs them as root.

mod deployment;
mod escape;
mod inject;
mod lifecycle;
mod nested;
mod pod;
