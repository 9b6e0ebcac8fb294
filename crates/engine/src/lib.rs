//! Deciding: router, plugin chain, balancer, limiter, retry. Reads no clock, opens no socket.
