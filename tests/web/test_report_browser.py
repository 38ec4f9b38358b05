"""The page about a run in a real browser, on a wide screen and on a phone."""

import pytest
from browser import open_browser
from untrained import random_run
from untrained import write_photos

import keras_alexnet as ka

CLASSES = ("<img src=x onerror=alert(1)>", "a-very-long-name-" * 6, "c")

# For each text its contrast (WCAG 2's formula) and the size of its letters.
TEXTS = """
const light = rgb => {
  const [r, g, b] = rgb.match(/[\\d.]+/g).slice(0, 3).map(v => v / 255)
    .map(v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4);
  return .2126 * r + .7152 * g + .0722 * b;
};
const paper = element => {
  for (let e = element; e; e = e.parentElement) {
    const color = getComputedStyle(e).backgroundColor;
    if (!/, 0\\)$/.test(color)) return color;
  }
  return "rgb(255, 255, 255)";
};
const texts = [];
for (const e of document.body.querySelectorAll("*")) {
  const own = [...e.childNodes].filter(n => n.nodeType === Node.TEXT_NODE)
    .map(n => n.data).join("").trim();
  if (!own) continue;
  const style = getComputedStyle(e);
  const [a, b] = [light(style.color), light(paper(e))].sort((x, y) => y - x);
  texts.push([own, (a + .05) / (b + .05), parseFloat(style.fontSize)]);
}
return texts;
"""
# What is wider than the screen, and in no box that scrolls by itself.
TOO_WIDE = """
return [...document.body.querySelectorAll("*")]
  .filter(e => !e.parentElement.closest(".box"))
  .filter(e => e.getBoundingClientRect().right > innerWidth + .5)
  .map(e => e.outerHTML.slice(0, 99));
"""


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    photos = write_photos(folder / "photos", dict.fromkeys(CLASSES, 10))
    run = random_run(
        folder / "run",
        sorted(CLASSES),
        data=str(photos),
        variant="alexnet",
        resize_pixels=72,
        crop_pixels=67,
    )
    run.save_results(**ka.evaluate(run).to_dict())
    row = {"loss": 1.0, "accuracy": 0.5, "val_loss": 1.1, "val_accuracy": 0.5}
    run.write_log([{"epoch": epoch, **row} for epoch in range(40)])
    run.path("skipped.csv").write_text(f"file,reason\n{'x/' * 99}a.jpg,bad\n")
    return ka.write_report(run)


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [1280, 390])
def test_opens_and_can_be_read(page, width, dark):
    with open_browser(width, dark=dark) as driver:
        driver.get(page.as_uri())
        _check(driver, width, dark)


def _check(driver, width, dark):
    ask = driver.execute_script
    driver.set_script_timeout(60)
    driver.execute_async_script(
        "const done = arguments[0]; document.readyState === 'complete' ? "
        "done() : addEventListener('load', () => done())"
    )
    assert driver.get_log("browser") == []
    assert driver.title == "smoke: alexnet, 3 classes"
    assert ask("return document.documentElement.lang") == "en"
    assert (
        ask(
            "return performance.getEntriesByType('resource').filter("
            "e => !e.name.startsWith('data:')).map(e => e.name)"
        )
        == []
    )
    images = ask(
        "return [...document.images].map(i => [i.alt, i.naturalWidth])"
    )
    assert len(images) == 5 + 6  # drawings, test images
    assert all(len(alt) > 15 and pixels > 0 for alt, pixels in images)
    assert ask("return innerWidth") == width
    assert ask("return document.documentElement.scrollWidth") <= width
    assert ask(TOO_WIDE) == []
    texts = ask(TEXTS)
    assert any(CLASSES[0] in text for text, _, _ in texts)
    assert len(texts) > 200
    assert [each for each in texts if each[1] < 4.5] == []
    assert min(size for _, _, size in texts) >= 13
    paper = ask("return getComputedStyle(document.body).backgroundColor")
    assert (paper == "rgb(255, 255, 255)") == (not dark)
