// Before and after, one over the other. Everything is delegated, as Gradio replaces the markup with every result.
(() => {
  const box = target => target.closest && target.closest('.dc-compare');
  const stageOf = compare => compare.querySelector('.dc-stage');

  function divide(compare, share) {
    const at = Math.min(1, Math.max(0, share));
    compare.querySelector('.dc-layers').style.setProperty('--at', `${at * 100}%`);
    const range = compare.querySelector('.dc-slide input');
    range.value = Math.round(at * 1000);
    range.setAttribute('aria-valuetext', `${Math.round(at * 100)} % before`);
  }

  function zoom(compare, value) {
    const stage = stageOf(compare), layers = compare.querySelector('.dc-layers');
    const middle = [(stage.scrollLeft + stage.clientWidth / 2) / layers.offsetWidth,
                    (stage.scrollTop + stage.clientHeight / 2) / layers.offsetHeight];
    compare.classList.toggle('dc-zoomed', value !== 'fit');
    // one picture sample on so many whole pixels of the screen
    const wide = value === 'fit' ? 0 : compare.dataset.width * value / window.devicePixelRatio;
    layers.style.setProperty('--wide', `${wide}px`);
    stage.scrollLeft = middle[0] * layers.offsetWidth - stage.clientWidth / 2;
    stage.scrollTop = middle[1] * layers.offsetHeight - stage.clientHeight / 2;
  }

  // A result has arrived: large pictures are shown at their own size, where blocks can be seen.
  window.deepclarityCompare = image => {
    const compare = box(image), stage = stageOf(compare);
    if (image.naturalWidth / window.devicePixelRatio < 1.3 * stage.clientWidth) return;
    compare.querySelector('[name=dc-zoom][value="1"]').checked = true;
    zoom(compare, 1);
    stage.scrollLeft = (stage.scrollWidth - stage.clientWidth) / 2;
    stage.scrollTop = (stage.scrollHeight - stage.clientHeight) / 2;
  };

  document.addEventListener('input', event => {
    const compare = box(event.target);
    if (!compare) return;
    if (event.target.type === 'range') divide(compare, event.target.value / 1000);
    if (event.target.name === 'dc-view') compare.dataset.view = event.target.value;
    if (event.target.name === 'dc-zoom') zoom(compare, event.target.value);
  });

  // TIFF, and what is no picture: browsers put a torn page there.
  const shown = event => {
    const place = event.target.closest && event.target.closest('[id$=-picture] .image-container, [id$=-picture] .image-frame');
    if (place && event.target.tagName === 'IMG') place.classList.toggle('dc-unseen', event.type === 'error');
  };
  document.addEventListener('error', shown, true);
  document.addEventListener('load', shown, true);

  document.addEventListener('pointerdown', event => {
    const layers = event.target.closest && event.target.closest('.dc-layers');
    const compare = layers && box(layers), grip = layers && event.target.closest('.dc-divider');
    if (!compare || event.button || (event.pointerType === 'touch' && !grip)) return;  // fingers scroll the page
    const stage = stageOf(compare), frame = layers.getBoundingClientRect();
    const where = x => (x - frame.left) / frame.width;
    const sliding = (compare.dataset.view || 'slider') === 'slider';
    const slides = grip || (sliding && !compare.classList.contains('dc-zoomed'));
    const from = [event.clientX, event.clientY, stage.scrollLeft, stage.scrollTop];
    event.preventDefault();
    stage.focus({preventScroll: true});
    if (slides) divide(compare, where(event.clientX));
    const holder = grip || layers, over = new AbortController(), {signal} = over;
    holder.setPointerCapture(event.pointerId);
    holder.addEventListener('pointermove', now => {
      if (now.pointerId !== event.pointerId) return;
      if (slides) { divide(compare, where(now.clientX)); return; }
      stage.scrollLeft = from[2] - (now.clientX - from[0]);
      stage.scrollTop = from[3] - (now.clientY - from[1]);
    }, {signal});
    for (const name of ['pointerup', 'pointercancel', 'lostpointercapture']) {
      holder.addEventListener(name, now => { if (now.pointerId === event.pointerId) over.abort(); }, {signal});
    }
  });
})();
