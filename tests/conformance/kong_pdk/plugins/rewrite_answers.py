"""Another one: looks at the whole response, written for a server that raises what goes wrong."""

Schema = ({"suffix": {"type": "string", "required": True, "len_min": 2}},)
version = "0.1.0"
priority = 5


class Plugin:
    def __init__(self, config):
        self.config = config

    def rewrite(self, kong):
        kong.ctx.shared.set("rewritten", "yes")

    def access(self, kong):
        kong.service.request.enable_buffering()
        try:
            kong.service.request.set_header("X-Bad", "1\r\nX-Evil: 1")
        except ValueError as error:
            kong.service.request.set_header("X-Refused", str(error))

    def response(self, kong):
        status = kong.service.response.get_status()
        body = kong.service.response.get_raw_body()
        if kong.request.get_path() == "/json":
            kong.response.exit(200, {"n": kong.service.response.get_body()["n"] + 1})
        if status == 404:
            kong.response.exit(410, "gone" + self.config["suffix"])
        kong.response.set_headers({"X-Length": len(body), "X-Shared": kong.ctx.shared.get("rewritten")})
        kong.response.clear_header("X-Secret")
        kong.response.set_status(201)
        kong.response.set_raw_body(body + self.config["suffix"])
