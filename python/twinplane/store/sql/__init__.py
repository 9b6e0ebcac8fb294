"""The configuration store on SQL."""
