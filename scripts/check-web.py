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


TAB, ENTER, UP, DOWN = "\ue004", "\ue007", "\ue013", "\ue015"


def key(character):
    keys = [{"type": kind, "value": character} for kind in ("keyDown", "keyUp")]
    call("POST", session + "/actions", {"actions": [{"type": "key", "id": "keys", "actions": keys}]})


def focused():
    return script("const e = document.activeElement; return e.className === 'skip' ? 'skip' : e.id || e.getAttribute('aria-labelledby')")


def spoken(selector):
    """Role and name of an element in the tree that a screen reader gets."""
    (element,) = call("POST", session + "/element", {"using": "css selector", "value": selector}).values()
    return tuple(call("GET", f"{session}/element/{element}/computed{what}") for what in ("role", "label"))


# Contrast of text with what is behind it, by WCAG 2.2; those below 4.5 (AA).
FAINT = """
const channels = (color) => color.match(/[\\d.]+/g).map(Number);
const light = (color) => channels(color).slice(0, 3).map((c) => c / 255).map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
const behind = (e) => { const c = e && getComputedStyle(e).backgroundColor; return !e ? "rgb(255, 255, 255)" : channels(c)[3] === 0 ? behind(e.parentElement) : c; };
return [...document.body.querySelectorAll("*")].filter((e) => [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim())).filter((e) => {
    const [a, b] = [light(getComputedStyle(e).color), light(behind(e))].sort((x, y) => y - x);
    return (a + 0.05) / (b + 0.05) < 4.5;
}).map((e) => e.textContent);"""


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

    # The keyboard reaches every control, in order, shows where it is, and works them.
    seen = []
    for _ in range(5):
        key(TAB)
        seen.append(focused())
        outline = script("const s = getComputedStyle(document.activeElement); return s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) >= 2")
        assert outline, f"the focus on {seen[-1]} cannot be seen"
    assert seen == ["skip", "whose", "what", "lus-heading", "targets-heading"], seen
    script("document.querySelector('.skip').focus()")
    key(ENTER)
    assert focused() == "lus", focused()
    script("document.querySelector('.skip').focus()")
    key(TAB)
    key(DOWN)
    assert script("return document.getElementById('whose').value") == "peer"
    levels = script("return new Set(document.querySelector('#plot-bytes polyline').getAttribute('points').split(' ').map((p) => p.split(',')[1])).size")
    assert levels > 1, "the peer's plot is flat"
    key(UP)
    assert script("return document.getElementById('whose').value") == "here"

    # What a screen reader says: what each thing is, what it is called, for a plot the figures of now; changes of the contact by itself.
    for selector, roles, name in (
        ("main", ["main"], ""),
        ("h1", ["heading"], "(node 0)"),
        ("#contact", ["status"], ""),
        ("#whose", ["combobox"], "Node:"),
        ("#what", ["combobox"], "Shown:"),
        ("#lus .scroll", ["region"], "Logical units"),
        ("#lus table", ["table"], ""),
        ("#plot-bytes", ["image", "img"], "MB/s written"),
        ("#plot-ops", ["image", "img"], "writes/s"),
        ("#plot-time", ["image", "img"], "ms on average"),
        ("#plot-link", ["image", "img"], "Round trip: "),
    ):
        role, label = spoken(selector)
        assert role in roles and name in label, f"{selector} is said to be {role} '{label}'"
    assert script("return document.getElementById('contact').getAttribute('aria-live')") == "polite"
    unnamed = script("""return [...document.querySelectorAll('svg, section, [role=region], select')].filter((e) =>
        !(e.labels && e.labels.length) && !document.getElementById(e.getAttribute('aria-labelledby'))?.textContent).length""")
    assert unnamed == 0, f"{unnamed} things without a name"
    assert script("return document.querySelectorAll('th:not([scope])').length") == 0
    assert script("return document.documentElement.lang") == "en"
    levels = script("return [...document.querySelectorAll('h1, h2, h3')].map((h) => h.tagName).join(' ')")
    assert levels.startswith("H1 H2") and "H1" not in levels[2:] and "H3" not in levels, levels
    for scheme in ("dark", "light"):
        media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
        call("POST", session + "/goog/cdp/execute", {"cmd": "Emulation.setEmulatedMedia", "params": media})
        faint = script(FAINT)
        assert not faint, f"hard to read ({scheme}): {faint}"

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
