"""An OpenID provider that nobody here wrote, and a browser for its pages."""

import base64
import html
import http.cookiejar
import json
import os
import re
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request

from harness import PROGRAMS, ROOT, WAIT_S, Process, free_port

DEVICE = "urn:ietf:params:oauth:grant-type:device_code"


class Provider:
    def __init__(self, place, name, *redirect):
        self.port = free_port()
        self.url = "http://127.0.0.1:%d" % self.port
        self.process = Process(name, [os.path.join(ROOT, "tests", "provider", "run"), str(self.port), *redirect],
                               place.path(name + ".log"))
        self.process.wait_for(r"event=provider\.ready")

    def post(self, path, fields, headers=None):
        request = urllib.request.Request(self.url + path, urllib.parse.urlencode(fields).encode(), headers or {})
        try:
            with urllib.request.urlopen(request, timeout=WAIT_S) as response:
                return json.loads(response.read() or "{}")
        except urllib.error.HTTPError as error:
            return json.loads(error.read())

    def rotate(self, kept):
        self.post("/test/rotate?kept=%d" % kept, {})

    def run_token(self, audience, typ="JWT", **claims):
        """A job's token."""
        basic = base64.b64encode(b"runner:secret").decode()
        headers = {"Authorization": "Basic " + basic, "x-claims": json.dumps(claims)}
        if typ:
            headers["x-typ"] = typ
        answer = self.post("/token", {"grant_type": "client_credentials", "resource": audience}, headers)
        return answer["access_token"]

    def person_token(self, login, client="stagepass", scope="openid email groups"):
        """An ID token of whoever logs in, by the device flow."""
        codes = self.post("/device/auth", {"client_id": client, "scope": scope})
        Browser().log_in(codes["verification_uri_complete"], login)
        answer = self.post("/token", {"grant_type": DEVICE, "device_code": codes["device_code"], "client_id": client})
        return answer["id_token"]


class DevProvider:
    """The development issuer as a provider of people: no login, and quick."""

    ISSUER = os.path.join(PROGRAMS, "stagepass-dev-issuer")

    def __init__(self, place):
        self.folder = place.path("people")
        os.makedirs(self.folder)
        self.process = Process("people", [self.ISSUER, "serve", "--folder", self.folder, "--port", "0", "--profile",
                                          "generic"], place.path("people.log"))
        self.url = self.process.wait_for(r"event=issuer\.ready url=(\S+)").group(1)
        self.tokens = {}

    def token(self, name, *groups, late=0):
        """An ID token of somebody in these groups, issued so many seconds from now."""
        if name not in self.tokens:
            path = os.path.join(self.folder, name + ".json")
            with open(path, "w") as stream:
                json.dump({"sub": name, "groups": list(groups)}, stream)
            self.tokens[name] = subprocess.run(
                [self.ISSUER, "token", "--folder", self.folder, "--url", self.url, "--profile", "generic",
                 "--audience", "stagepass", "--claims", path, "--set", "iat=%d" % (time.time() + late),
                 "--lifetime", "1h"],
                check=True, capture_output=True, text=True).stdout.strip()
        return self.tokens[name]


class Browser:
    """Follows pages with one form each until there is none."""

    def __init__(self):
        self.opener = urllib.request.build_opener(
            urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()))

    def open(self, url, fields=None):
        data = urllib.parse.urlencode(fields).encode() if fields is not None else None
        with self.opener.open(url, data, timeout=WAIT_S) as response:
            return response.geturl(), response.read().decode()

    def log_in(self, url, login, abort=False):
        url, page = self.open(url)
        for _ in range(10):
            form = re.search(r"<form[^>]*action=\"([^\"]*)\"[^>]*>(.*?)</form>", page, re.S)
            if not form:
                return page
            inputs = re.findall(r"<input[^>]*>", form.group(2))
            fields = {}
            for text in inputs:
                attributes = dict(re.findall(r'(\w+)="([^"]*)"', text))
                fields[attributes["name"]] = html.unescape(attributes.get("value", ""))
            if "login" in fields:
                fields.update(login=login, password="any")
            if abort and "confirm" in fields:
                fields["abort"] = "yes"
            url, page = self.open(urllib.parse.urljoin(url, html.unescape(form.group(1))), fields)
            if "abort" in fields:
                return page
        raise RuntimeError("a login without an end: " + page)
