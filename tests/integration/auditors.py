"""People who read the ledger: their provider, what it says of them, and how they ask."""

import hashlib
import json
import os
import subprocess
import urllib.parse

from harness import PROGRAMS, Process

ISSUER = os.path.join(PROGRAMS, "stagepass-dev-issuer")


class People:
    """A provider of people, and the tokens that it gives them."""

    def __init__(self, place):
        self.folder = place.path("people")
        os.makedirs(self.folder)
        self.process = Process("people", [ISSUER, "serve", "--folder", self.folder, "--port", "0", "--profile",
                                          "generic"], place.path("people.log"))
        self.url = self.process.wait_for(r"event=issuer\.ready url=(\S+)").group(1)
        self.tokens = {}

    def token(self, name, *groups):
        if name not in self.tokens:
            path = os.path.join(self.folder, name + ".json")
            with open(path, "w") as stream:
                json.dump({"sub": name, "groups": list(groups)}, stream)
            self.tokens[name] = subprocess.run(
                [ISSUER, "token", "--folder", self.folder, "--url", self.url, "--profile", "generic", "--audience",
                 "stagepass", "--claims", path], check=True, capture_output=True, text=True).stdout.strip()
        return self.tokens[name]


def get(place, token, words, path="/api/v1/ledger/entries"):
    query = urllib.parse.urlencode(words)
    return place.request("GET", path + ("?" + query if query else ""),
                         headers={"Authorization": "Bearer " + token} if token else {})


def log_in(place, token):
    """What `stagepass login` keeps of a person."""
    folder = place.path("state", "stagepass")
    os.makedirs(folder, mode=0o700, exist_ok=True)
    name = os.path.join(folder, "login-" + hashlib.sha256(place.url.encode()).hexdigest()[:32])
    with open(name, "w", opener=lambda path, flags: os.open(path, flags, 0o600)) as stream:
        stream.write(token)
    return {"XDG_STATE_HOME": place.path("state"), "STAGEPASS_CA": place.path("pki", "ca.crt")}
