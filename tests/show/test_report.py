"""Reports: what is drawn, what is escaped, and how a real browser shows them, offline."""

from __future__ import annotations

import itertools
import json
import math
import re
import shutil
import stat
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from answers import (
    EVIL,
    NOTHING,
    FakeBlocks,
    FakeConflict,
    everything,
    long_program,
    proved,
    refuted,
    remedies_of,
    spectrum_of,
    steps_of,
    trajectory_of,
    why_of,
)
from jensen.errors import Misuse
from jensen.finding import Finding, Step, Verdict
from jensen.show.diagram import diagram
from jensen.show.picture import figure, picture, sparkline
from jensen.show.report import report
from jensen.show.unanswered import Unanswered

pytest.importorskip("plotly")
pytest.importorskip("jinja2")


@pytest.mark.parametrize("backwards", [False, True])
def test_picture_runs_from_a_to_b(backwards: bool) -> None:
    p = picture(refuted(backwards=backwards))
    assert p is not None
    assert p.s == tuple(sorted(p.s))
    assert p.cost[0] == pytest.approx(1.0)
    assert p.cost[-1] == pytest.approx(1.5)
    assert p.gap == pytest.approx(1.0)
    assert max(p.gaps) == pytest.approx(1.0)
    assert len(sparkline(p, 24)) == 24


def test_no_picture_without_a_line_or_with_infinite_values() -> None:
    assert picture(refuted().__class__(Verdict.PROVED, "yes", "", "convex", ("w",), {"method": "rules"}, 0.1)) is None
    broken = refuted()
    line = {"t": [0, 0.5, 1], "J": [1.0, math.inf, 1.5]}
    assert picture(Finding(Verdict.REFUTED, "no", "", "convex", ("w",), {**broken.evidence, "line": line}, 0.1)) is None


def test_figure_is_plain_json() -> None:
    p = picture(refuted())
    assert p is not None
    assert "cost J" in json.dumps(figure(p), allow_nan=False)


def test_short_programs_are_drawn_whole_and_long_ones_folded() -> None:
    whole = diagram(steps_of())
    assert [item.title for _, item in whole.overview.boxes] == ["linear", "tanh", "add", "cross_entropy"]
    assert not whole.parts
    assert sum(a.jump for a in whole.overview.arrows) == 1
    folded = diagram(long_program())
    assert folded.operations == 630
    assert 2 <= len(folded.overview.boxes) <= 70
    assert sum(p.size for p in folded.parts) == 630
    assert [p.lost for p in folded.parts].count(True) == 1


def test_a_chain_without_modules_is_cut_into_parts() -> None:
    steps = tuple(Step(f"op{i}", "aten.op", "", (i - 1,) if i else (), "affine") for i in range(1_000))
    assert len(diagram(steps).parts) == 10


def test_report_holds_the_answer_and_needs_no_network(tmp_path: Path) -> None:
    blocks = FakeBlocks((("w",),), (FakeConflict(("v",), "tanh", "net.1", "because"),), (("u",),))
    path = tmp_path / "r.html"
    report([refuted(), blocks], path, title="mine.py:cost")
    text = path.read_text()
    assert "REFUTED" in text
    assert "J is not convex in w" in text
    assert "mine.py:cost" in text
    page = re.sub(r"<script>.*?</script>", "", text, flags=re.DOTALL)
    assert not re.search(r"""(src|href)\s*=\s*["']?(https?:)?//""", page)
    assert stat.S_IMODE(path.stat().st_mode) & 0o400
    assert list(tmp_path.iterdir()) == [path]


def test_users_texts_are_escaped(tmp_path: Path) -> None:
    blocks = FakeBlocks(((EVIL,),), (FakeConflict((EVIL,), EVIL, EVIL, EVIL),), ((EVIL,),))
    report([refuted(EVIL), blocks], tmp_path / "r.html", title=EVIL)
    assert EVIL not in (tmp_path / "r.html").read_text()
    assert EVIL not in refuted(EVIL)._repr_mimebundle_()["text/html"]


def test_all_kinds_of_answers_on_one_page(tmp_path: Path) -> None:
    path = tmp_path / "r.html"
    report([*everything(EVIL), Unanswered("watch", EVIL)], path)
    text = path.read_text()
    assert EVIL not in text
    assert text.count("<h1") == 1
    for words in ("What breaks it by itself", "Where the curvature comes from", "What would make it convex"):
        assert words in text
    for words in ("The spectrum of the Hessian", "What kind of point", "Over training", "Not answered: watch"):
        assert words in text


@pytest.mark.parametrize("k", range(len(everything())))
def test_each_kind_alone_has_its_heading(tmp_path: Path, k: int) -> None:
    report(everything()[k], tmp_path / "r.html")
    text = (tmp_path / "r.html").read_text()
    page = re.sub(r"<(script|style)>.*?</\1>", "", text, flags=re.DOTALL)
    levels = [int(n) for n in re.findall(r"<h([1-6])", page)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(b <= a + 1 for a, b in itertools.pairwise(levels))
    assert '<nav class="contents"' not in page


def test_answers_with_nothing_to_draw_have_their_page(tmp_path: Path) -> None:
    bare = spectrum_of(**NOTHING, lowest=(), highest=())
    empty = why_of(shares=(), finite=None, eigenspace=None, mechanisms=(), notes=())
    report([proved(), empty, remedies_of(count=0), bare, trajectory_of(0)], tmp_path / "r.html")
    text = (tmp_path / "r.html").read_text()
    assert "J is convex in w" in text and "Nothing was recorded yet" in text and 'class="plot"' not in text


def test_the_pages_numbers_are_those_of_the_answers(tmp_path: Path) -> None:
    report([why_of(), remedies_of(), spectrum_of()], tmp_path / "r.html")
    text = (tmp_path / "r.html").read_text()
    assert re.search(r"<code>net\.1</code></th><td class=\"num\">−0\.62</td>", text)
    assert "jensen check TARGET --of &#39;w*&#39; --within w=0: --ideal" in text
    assert "7 % (5 % to 9 %)" in text


def test_certificates_of_parts_are_named(tmp_path: Path) -> None:
    files = [tmp_path / f"a-{k}.jensen" for k in (1, 2)]
    for file in files:
        with zipfile.ZipFile(file, "w") as z:
            z.writestr("claim.json", "{}")
    report([why_of(), remedies_of()], tmp_path / "r.html", certificates=[files[:1], files[1:]])
    text = (tmp_path / "r.html").read_text()
    assert "jensen verify a-1.jensen" in text and "jensen verify a-2.jensen" in text


def test_misuse_and_unwritable_files(tmp_path: Path) -> None:
    with pytest.raises(Misuse, match="at least one"):
        report([], tmp_path / "r.html")
    with pytest.raises(Misuse, match="not a finding"):
        report([3], tmp_path / "r.html")
    with pytest.raises(OSError):
        report(refuted(), tmp_path / "missing" / "r.html")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    webdriver = pytest.importorskip("selenium.webdriver")
    if not shutil.which("chromium") or not shutil.which("chromedriver"):
        pytest.skip("chromium and chromedriver are not installed")
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        quiet = "headless no-sandbox disable-gpu disable-quic no-first-run disable-background-networking"
        for word in f"{quiet} disable-component-update disable-sync disable-dev-shm-usage".split():
            options.add_argument(f"--{word}")
        options.add_argument(f"--user-data-dir={profile}")
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        service = webdriver.ChromeService(executable_path=shutil.which("chromedriver"))
        driver = webdriver.Chrome(options=options, service=service)
        yield driver
        driver.quit()


def requests(driver: Any, page: str) -> list[str]:
    """Addresses that the page asked for (a browser's own start page may still be asking for its own)."""
    events = [json.loads(e["message"])["message"] for e in driver.get_log("performance")]
    sent = [e["params"] for e in events if e["method"] == "Network.requestWillBeSent"]
    return [p["request"]["url"] for p in sent if p["documentURL"] == page]


def count(driver: Any, selector: str) -> int:
    return driver.execute_script("return document.querySelectorAll(arguments[0]).length", selector)


def load(driver: Any, path: Path) -> None:
    driver.get_log("browser"), driver.get_log("performance")
    driver.get(path.as_uri())
    assert driver.execute_script("return document.documentElement.dataset.ready") == "yes"


@pytest.mark.browser
def test_browser_draws_the_picture_offline(browser: Any, tmp_path: Path) -> None:
    blocks = FakeBlocks(((EVIL, "v"), ("u",)), (FakeConflict(("v",), "tanh", "net.1", "because"),), ())
    path = tmp_path / "r.html"
    report([refuted(EVIL), blocks], path)
    load(browser, path)
    assert browser.get_log("browser") == []
    asked = requests(browser, path.as_uri())
    assert path.as_uri() in asked
    assert [u for u in asked if not u.startswith((path.as_uri(), "data:", "blob:"))] == []
    assert count(browser, ".plot svg .scatterlayer .trace") == 5
    assert count(browser, ".op.lost") == 1
    assert browser.execute_script("return document.querySelector('.op.lost .name').textContent") == "tanh"
    assert browser.execute_script("return window.evil === undefined")
    assert count(browser, ".matrix .in") == 3
    assert browser.execute_script("return document.querySelectorAll('h1').length") == 1


@pytest.mark.browser
@pytest.mark.parametrize(("width", "scheme"), [(360, "dark"), (1280, "light")])
def test_browser_draws_every_kind(browser: Any, tmp_path: Path, width: int, scheme: str) -> None:
    path = tmp_path / "r.html"
    report(everything(EVIL), path)
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    )
    media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    load(browser, path)
    assert browser.execute_script("return window.evil === undefined")
    assert [u for u in requests(browser, path.as_uri()) if not u.startswith((path.as_uri(), "data:", "blob:"))] == []
    assert count(browser, ".plot") == count(browser, ".plot svg.main-svg:first-of-type") == 12
    assert count(browser, "[data-figure$='-layers'] .bars .point") == 5
    assert browser.execute_script("return document.documentElement.scrollWidth <= innerWidth")
    negative = browser.execute_script("return getComputedStyle(document.documentElement).getPropertyValue('--against')")
    assert browser.execute_script(OVERLAPS) == []
    fills = browser.execute_script(
        "return [...document.querySelectorAll('[data-figure$=-layers] .bars .point path')].map(p => p.style.fill)"
    )
    assert fills[0] == fills[1] != fills[2] and rgb(negative) == fills[0]
    spans = "return document.querySelector('[data-figure*=density], [data-figure*=linear]').layout.xaxis.range"
    before = browser.execute_script(spans)
    browser.execute_script("document.querySelector('[data-show$=linear]').click()")
    assert browser.execute_script(spans) != before
    assert count(browser, "[data-show][aria-pressed=true]") == 1
    assert count(browser, ".op.against.lost") == 1
    assert browser.get_log("browser") == []


# Numbers beside the bars of a waterfall that lie on the names of the layers, or outside the figure.
OVERLAPS = """
const found = [];
for (const plot of document.querySelectorAll("[data-figure$=layers], [data-figure$=chord], [data-figure$=eigenspace]")) {
  const box = (e) => e.getBoundingClientRect(), frame = box(plot);
  const names = [...plot.querySelectorAll(".ytick text")].map(box);
  for (const label of plot.querySelectorAll(".bars .bartext")) {
    const l = box(label), hit = (n) => l.left < n.right && n.left < l.right && l.top < n.bottom && n.top < l.bottom;
    if (names.some(hit) || l.right > frame.right + 8) found.push(label.textContent);
  }
}
return found;
"""


def rgb(colour: str) -> str:
    """``#rrggbb`` as browsers print it."""
    digits = colour.strip().lstrip("#")
    return f"rgb({', '.join(str(int(digits[k : k + 2], 16)) for k in (0, 2, 4))})"


@pytest.mark.browser
@pytest.mark.parametrize("width", [360, 1280])
def test_browser_long_program_opens_at_the_lost_part(browser: Any, tmp_path: Path, width: int) -> None:
    path = tmp_path / "r.html"
    report(refuted(steps=long_program()), path)
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    )
    load(browser, path)
    assert count(browser, "details.part[open]") == 1
    assert count(browser, "details.part[open] .op.lost") == 1
    assert browser.execute_script("return document.documentElement.scrollWidth <= innerWidth")
    browser.execute_script(
        "document.querySelector('.overview a').dispatchEvent(new MouseEvent('click', {bubbles: true}))"
    )
    browser.execute_script("return new Promise(done => setTimeout(done, 50))")
    assert count(browser, "details.part[open]") == 2
    assert browser.get_log("browser") == []
