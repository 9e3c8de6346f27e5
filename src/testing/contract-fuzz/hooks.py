"""For Schemathesis: who it is. Each case has a session of its own, for what it calls may end sessions."""
import os
import urllib.request

import schemathesis


@schemathesis.auth(refresh_interval=None)
class Session:
    def get(self, case, context):
        with urllib.request.urlopen(os.environ["LOCKSTEP_FUZZ_TOKENS"]) as answer:
            return answer.read().decode()

    def set(self, case, token, context):
        case.headers = case.headers or {}
        case.headers["Authorization"] = f"Bearer {token}"
