// Before/after viewer. All events are delegated, because Gradio replaces the markup with every result.
(() => {
  const viewerOf = target => target.closest && target.closest('.dc-compare');
  const stageOf = compare => compare.querySelector('.dc-stage');

  const slides = compare => ['slider', 'tiers'].includes(compare.dataset.view || 'slider');

  function moveDivider(compare, fraction) {
    const at = Math.min(1, Math.max(0, fraction));
    compare.querySelector('.dc-layers').style.setProperty('--at', `${at * 100}%`);
    const range = compare.querySelector('.dc-slide input');
    range.value = Math.round(at * 1000);
    range.setAttribute('aria-valuetext', `${Math.round(at * 100)} % from the left`);
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

  // Arrow keys move the divider by 2 %, with Shift by 0.1 %; on a zoomed picture they scroll, as everywhere.
  const STEPS = {ArrowLeft: -20, ArrowRight: 20, ArrowDown: -20, ArrowUp: 20, PageDown: -100, PageUp: 100, Home: -1000, End: 1000};
  document.addEventListener('keydown', event => {
    const compare = viewerOf(event.target), onRange = event.target.type === 'range';
    if (!compare || !slides(compare) || !(event.key in STEPS) || event.ctrlKey || event.altKey || event.metaKey) return;
    if (!onRange && (!event.target.classList.contains('dc-stage') || compare.classList.contains('dc-zoomed'))) return;
    event.preventDefault();
    const step = event.shiftKey ? Math.sign(STEPS[event.key]) : STEPS[event.key];
    moveDivider(compare, (Number(compare.querySelector('.dc-slide input').value) + step) / 1000);
  });

  document.addEventListener('click', async event => {
    const link = event.target.closest && event.target.closest('.dc-link, .dc-tile a, [data-at]');
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    if (link.matches('.dc-link')) copyLink(event, link);
    else if (link.matches('.dc-tile a')) openTile(event, link);
    else seek(link);
  });

  async function copyLink(event, link) {
    if (!navigator.clipboard) return;  // the link is opened instead
    event.preventDefault();
    try { await navigator.clipboard.writeText(link.href); } catch (error) { window.open(link.href, '_blank', 'noopener'); return; }
    link.textContent = 'Link copied';
    setTimeout(() => { link.textContent = 'Copy link'; }, 2000);
  }

  // A picture of a gallery opens below it; its address alone shows it, too.
  async function openTile(event, link) {
    const opened = link.closest('.dc-gallery').querySelector('.dc-opened');
    event.preventDefault();
    for (const other of document.querySelectorAll('.dc-tile a')) other.removeAttribute('aria-current');
    link.setAttribute('aria-current', 'true');
    let content = null;
    try {
      const answer = await fetch(`${link.getAttribute('href')}?part=1`);
      if (answer.ok) content = await answer.text();
    } catch (error) { /* said below */ }
    if (link.getAttribute('aria-current') !== 'true') return;  // another one was opened meanwhile
    if (content === null) { location.href = link.href; return; }
    opened.innerHTML = content;
    opened.focus({preventScroll: true});
    opened.scrollIntoView({behavior: matchMedia('(prefers-reduced-motion: reduce)').matches ? 'auto' : 'smooth', block: 'start'});
  }

  function seek(node) {
    const result = node.closest('.dc-video'), player = result && result.querySelector('video');
    if (!player) return;
    player.currentTime = Number(node.dataset.at) + 0.001;
    player.scrollIntoView({block: 'nearest'});
  }

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
    const isSliderView = slides(compare);
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
