"""The telemetry store on DuckDB."""
