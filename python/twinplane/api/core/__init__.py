"""Entity endpoints that every face serves alike: decode, call `control`, encode, word errors as Kong does.

A face makes a `Dispatcher`, adds `schema_endpoints` and the paths of a `paths.Plan` to it, and hands requests to a
`face.EntityFace`. `message` holds what goes in and out, `paging` and `decode` what handlers of a face's own need too.
No web framework is imported here, so that a node can serve the same endpoints.
"""
