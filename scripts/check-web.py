#!/usr/bin/env python3
"""check-web.py DRIVER-PORT URL GUID SCREENSHOT STMFD-PID: the status page in a browser, over WebDriver. See scripts/check-web."""
import base64
import json
import os
import signal
import sys
import time
import urllib.request

PATIENCE = 60  # seconds

port, url, guid, screenshot, pid = sys.argv[1:]
base = f"http://127.0.0.1:{port}"


def call(method, path, body=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(base + path, data, {"Content-Type": "application/json"}, method=method)
    with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
        return json.load(answer)["value"]


def until(what, holds):
    end = time.monotonic() + PATIENCE
    while True:
        try:
            if holds():
                return
        except OSError:
            pass
        if time.monotonic() > end:
            sys.exit(f"check-web: timed out: {what}\n{text() if 'session' in globals() else ''}")
        time.sleep(0.3)


until("the driver is ready", lambda: call("GET", "/status")["ready"])
options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--window-size=1200,1250"]
wanted = {"alwaysMatch": {"goog:chromeOptions": {"args": options}, "goog:loggingPrefs": {"browser": "ALL"}}}
session = "/session/" + call("POST", "/session", {"capabilities": wanted})["sessionId"]


def script(text, *arguments):
    return call("POST", session + "/execute/sync", {"script": text, "args": list(arguments)})


def text():
    return script("return document.body.innerText")


def key(character):
    keys = [{"type": kind, "value": character} for kind in ("keyDown", "keyUp")]
    call("POST", session + "/actions", {"actions": [{"type": "key", "id": "keys", "actions": keys}]})


def main():
    call("POST", session + "/url", {"url": url})
    until("the page is live", lambda: script("return document.getElementById('contact').textContent") == "Live")
    until("the LU is shown", lambda: guid in text())
    for words in ("(node 0)", "ALUA enabled", "reachable", "active", "standby", "iqn.2026-11.example:node0", "iqn.2026-11.example:node1"):
        until(f"'{words}' is shown", lambda words=words: words in text())
    until("there is load", lambda: script("return answers.some((a, i) => i && a.io.write_bytes > answers[i-1].io.write_bytes)"))
    until("a minute's beginning is plotted", lambda: script("return answers.length >= 12"))
    lines = script("return [...document.querySelectorAll('polyline')].map((l) => new Set(l.getAttribute('points').split(' ').map((p) => p.split(',')[1])).size)")
    assert len(lines) == 6 and all(levels > 1 for levels in lines), f"flat plots: {lines}"

    # The peer tells of itself, and its load is plotted too.
    until("the peer's own words", lambda: "as it said" in text() and "(node 1)" in text())
    until("the peer has load", lambda: script("return answers.some((a, i) => i && a.peer_node && answers[i-1].peer_node && a.peer_node.io.read_bytes > answers[i-1].peer_node.io.read_bytes)"))
    script("const w = document.getElementById('whose'); w.value = 'peer'; w.dispatchEvent(new Event('change'))")
    levels = script("return new Set(document.querySelector('#plot-bytes polyline').getAttribute('points').split(' ').map((p) => p.split(',')[1])).size")
    assert levels > 1, "the peer's plot is flat"
    script("const w = document.getElementById('whose'); w.value = 'here'; w.dispatchEvent(new Event('change'))")

    # The keyboard reaches every control, in order, and each says what it is.
    seen = []
    for _ in range(5):
        key("\ue004")
        seen.append(script("const e = document.activeElement; return e.className === 'skip' ? 'skip' : e.id || e.getAttribute('aria-labelledby')"))
    assert seen == ["skip", "whose", "what", "lus-heading", "targets-heading"], seen
    unnamed = script("""return [...document.querySelectorAll('svg, section, [role=region], select')].filter((e) =>
        !(e.labels && e.labels.length) && !document.getElementById(e.getAttribute('aria-labelledby'))?.textContent).length""")
    assert unnamed == 0, f"{unnamed} things without a name"
    assert script("return document.querySelectorAll('th:not([scope])').length") == 0
    assert script("return document.documentElement.lang") == "en"

    with open(screenshot, "wb") as file:
        file.write(base64.b64decode(call("GET", session + "/screenshot")))
    logged = [entry["message"] for entry in call("POST", session + "/se/log", {"type": "browser"})]
    assert not logged, f"the browser complains: {logged}"

    os.kill(int(pid), signal.SIGSTOP)
    try:
        until("the page says that nobody answers", lambda: "No answer from stmfd since" in text())
    finally:
        os.kill(int(pid), signal.SIGCONT)
    until("the page goes on", lambda: script("return document.getElementById('contact').textContent") == "Live")


try:
    main()
finally:
    call("DELETE", session)
