// Before/after viewer. All events are delegated, because Gradio replaces the markup with every result.
(() => {
  const viewerOf = target => target.closest && target.closest('.dc-compare');
  const stageOf = compare => compare.querySelector('.dc-stage');

  function moveDivider(compare, fraction) {
    const at = Math.min(1, Math.max(0, fraction));
    compare.querySelector('.dc-layers').style.setProperty('--at', `${at * 100}%`);
    const range = compare.querySelector('.dc-slide input');
    range.value = Math.round(at * 1000);
    range.setAttribute('aria-valuetext', `${Math.round(at * 100)} % before`);
  }

  function zoom(compare, value) {
    const stage = stageOf(compare), layers = compare.querySelector('.dc-layers');
    const centre = [(stage.scrollLeft + stage.clientWidth / 2) / layers.offsetWidth,
                    (stage.scrollTop + stage.clientHeight / 2) / layers.offsetHeight];
    compare.classList.toggle('dc-zoomed', value !== 'fit');
    // each picture sample covers an integer number of screen pixels
    const width = value === 'fit' ? 0 : compare.dataset.width * value / window.devicePixelRatio;
    layers.style.setProperty('--zoomed-width', `${width}px`);
    stage.scrollLeft = centre[0] * layers.offsetWidth - stage.clientWidth / 2;
    stage.scrollTop = centre[1] * layers.offsetHeight - stage.clientHeight / 2;
  }

  // When a result has arrived, show large pictures at 1:1, where blocks are visible.
  window.deepclarityCompare = image => {
    const compare = viewerOf(image), stage = stageOf(compare);
    if (image.naturalWidth / window.devicePixelRatio < 1.3 * stage.clientWidth) return;
    compare.querySelector('[name=dc-zoom][value="1"]').checked = true;
    zoom(compare, 1);
    stage.scrollLeft = (stage.scrollWidth - stage.clientWidth) / 2;
    stage.scrollTop = (stage.scrollHeight - stage.clientHeight) / 2;
  };

  document.addEventListener('input', event => {
    const compare = viewerOf(event.target);
    if (!compare) return;
    if (event.target.type === 'range') moveDivider(compare, event.target.value / 1000);
    if (event.target.name === 'dc-view') compare.dataset.view = event.target.value;
    if (event.target.name === 'dc-zoom') zoom(compare, event.target.value);
  });

  // Browsers cannot show TIFF or invalid pictures: replace the broken-image icon with a message.
  const updatePreview = event => {
    const frame = event.target.closest && event.target.closest('[id$=-picture] .image-container, [id$=-picture] .image-frame');
    if (frame && event.target.tagName === 'IMG') frame.classList.toggle('dc-no-preview', event.type === 'error');
  };
  document.addEventListener('error', updatePreview, true);
  document.addEventListener('load', updatePreview, true);

  document.addEventListener('pointerdown', event => {
    const layers = event.target.closest && event.target.closest('.dc-layers');
    const compare = layers && viewerOf(layers), grip = layers && event.target.closest('.dc-divider');
    if (!compare || event.button || (event.pointerType === 'touch' && !grip)) return;  // touch scrolls the page
    const stage = stageOf(compare), frame = layers.getBoundingClientRect();
    const positionOf = x => (x - frame.left) / frame.width;
    const isSliderView = (compare.dataset.view || 'slider') === 'slider';
    const movesDivider = grip || (isSliderView && !compare.classList.contains('dc-zoomed'));
    const start = [event.clientX, event.clientY, stage.scrollLeft, stage.scrollTop];
    event.preventDefault();
    stage.focus({preventScroll: true});
    if (movesDivider) moveDivider(compare, positionOf(event.clientX));
    const captured = grip || layers, controller = new AbortController(), {signal} = controller;
    captured.setPointerCapture(event.pointerId);
    captured.addEventListener('pointermove', move => {
      if (move.pointerId !== event.pointerId) return;
      if (movesDivider) { moveDivider(compare, positionOf(move.clientX)); return; }
      stage.scrollLeft = start[2] - (move.clientX - start[0]);
      stage.scrollTop = start[3] - (move.clientY - start[1]);
    }, {signal});
    for (const name of ['pointerup', 'pointercancel', 'lostpointercapture']) {
      captured.addEventListener(name, end => { if (end.pointerId === event.pointerId) controller.abort(); }, {signal});
    }
  });
})();
