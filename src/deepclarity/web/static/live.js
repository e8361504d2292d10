// The camera, frame by frame: sent raw where the server is this machine, as JPEG elsewhere; at most two on the way.
window.deepclarityLive = element => {
  const find = name => element.querySelector(`.dc-${name}`);
  const before = find('before'), after = find('after'), start = find('start'), said = find('live-said');
  const left = before.getContext('2d', {willReadFrequently: false}), right = after.getContext('2d');
  const small = document.createElement('canvas');
  const near = ['localhost', '127.0.0.1', '[::1]'].includes(location.hostname);
  const MOST = 2, SHOWN = [];
  // `round` tells what belongs to the camera that is on from what is left of one that was on before.
  let socket = null, stream = null, video = null, round = 0, making = 0, waiting = [], number = 0, drawn = 0, told = 0;
  let raw = near && 'VideoFrame' in window, hidden = 0;

  const say = words => { said.textContent = words; };
  const settings = () => JSON.stringify({tier: find('tier').value, which: find('which').value});

  const release = item => { if (item.frame) item.frame.close(); item.frame = null; };

  function stop(words) {
    round += 1;
    if (stream) stream.getTracks().forEach(track => track.stop());
    if (socket) { socket.onclose = null; socket.close(); }
    waiting.forEach(release);
    socket = stream = video = null; waiting = []; making = 0; SHOWN.length = 0;
    start.textContent = 'Start camera';
    for (const name of ['fps', 'lag', 'ms', 'kind']) find(name).textContent = '–';
    say(words || 'The camera is off.');
  }

  async function begin() {
    if (!navigator.mediaDevices) { say('Browsers show cameras only to localhost or over HTTPS.'); return; }
    say('Asking for the camera …');
    const mine = ++round;
    let given = null, trouble = null;
    start.disabled = true;
    try {
      given = await navigator.mediaDevices.getUserMedia({
        video: {width: {ideal: 640}, height: {ideal: 360}, frameRate: {ideal: 30}}, audio: false});
    } catch (error) { trouble = error; }
    start.disabled = false;
    if (mine !== round) { if (given) given.getTracks().forEach(track => track.stop()); return; }
    if (trouble) {
      stop(trouble.name === 'NotAllowedError' ? 'The camera was not allowed.' : 'No camera was found.');
      return;
    }
    stream = given;
    socket = new WebSocket(`${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}/live`);
    socket.binaryType = 'arraybuffer';
    socket.onopen = () => { socket.send(settings()); watch(mine); };
    socket.onmessage = receive;
    socket.onclose = () => stop('The connection to the server ended.');
    start.textContent = 'Stop camera';
    say('Starting …');
  }

  async function watch(mine) {
    const player = document.createElement('video');
    player.muted = true; player.playsInline = true; player.srcObject = stream;
    try {
      await player.play();
    } catch (error) {
      if (mine === round) stop('The camera cannot be read.');
      return;
    }
    if (mine !== round) return;
    video = player;
    const {videoWidth: width, videoHeight: height} = video;
    for (const canvas of [before, after]) { canvas.width = width; canvas.height = height; }
    say(`${width} × ${height} px`);
    next();
  }

  function next() {
    const mine = round, come = (now, about) => { if (mine === round) arrived(now, about); };
    if (video.requestVideoFrameCallback) video.requestVideoFrameCallback(come);
    else requestAnimationFrame(now => come(now, {}));
  }

  function arrived(now, about) {
    next();
    // the oldest would only be later: drop this one
    if (making + waiting.length >= MOST || socket.readyState !== 1) return;
    const taken = about.captureTime || now;
    if (find('coarse').checked) {
      small.width = before.width / 4; small.height = before.height / 4;
      small.getContext('2d').drawImage(video, 0, 0, small.width, small.height);
      left.imageSmoothingEnabled = false;
      left.drawImage(small, 0, 0, before.width, before.height);
    } else {
      left.drawImage(video, 0, 0, before.width, before.height);
    }
    send(taken);
  }

  async function send(taken) {
    const mine = round, wasRaw = raw, item = {taken, frame: null, number: ++number};
    let sent = false;
    making += 1;
    try {
      if (wasRaw) item.frame = new VideoFrame(find('coarse').checked ? before : video, {timestamp: 0});
      const [head, data] = wasRaw ? await planes(item.frame) : await jpeg();
      if (mine !== round) return;
      Object.assign(item, head);
      socket.send(new Blob([JSON.stringify(head), '\n', data]));
      waiting.push(item);  // in the order of sending, which is the order of the answers
      sent = true;
    } catch (error) {
      if (mine !== round) return;
      if (wasRaw) raw = false; else stop('The camera cannot be read.');
    } finally {
      if (mine === round) making -= 1;
      if (!sent) release(item);
    }
  }

  async function planes(frame) {
    const {width, height} = frame.visibleRect, half = [(width + 1) >> 1, (height + 1) >> 1];
    if (frame.format !== 'I420' && frame.format !== 'NV12') {
      return jpeg();
    }
    const data = new Uint8Array(width * height + 2 * half[0] * half[1]), luma = {offset: 0, stride: width};
    const layout = frame.format === 'NV12' ? [luma, {offset: width * height, stride: 2 * half[0]}]
      : [luma, {offset: width * height, stride: half[0]},
         {offset: width * height + half[0] * half[1], stride: half[0]}];
    await frame.copyTo(data, {layout});
    return [{form: frame.format, width, height, full: frame.colorSpace.fullRange === true,
             colour: frame.colorSpace.toJSON()}, data];
  }

  async function jpeg() {
    const blob = await new Promise(done => before.toBlob(done, 'image/jpeg', 0.92));
    return [{form: 'JPEG', width: before.width, height: before.height}, await blob.arrayBuffer()];
  }

  async function receive(event) {
    if (event.target !== socket) return;
    if (typeof event.data === 'string') { stop(JSON.parse(event.data).refused); return; }
    const mine = round, item = waiting.shift();
    if (!item) return;
    try {
      const bytes = new Uint8Array(event.data), end = bytes.indexOf(10);
      const head = JSON.parse(new TextDecoder().decode(bytes.subarray(0, end)));
      const shown = head.repaired ? await picture(item, bytes.subarray(end + 1)) : null;
      if (mine === round && item.number > drawn) {
        drawn = item.number;
        if (shown) right.drawImage(shown, 0, 0);
        else right.drawImage(item.frame || before, 0, 0, after.width, after.height);
        count(item, head);
      }
      if (shown) shown.close();
    } catch (error) {
      if (mine === round) stop('A picture from the server cannot be shown.');
    } finally {
      release(item);
    }
  }

  function picture(item, data) {
    if (item.form === 'JPEG') return createImageBitmap(new Blob([data], {type: 'image/jpeg'}));
    return new VideoFrame(data, {format: 'I420', codedWidth: item.width, codedHeight: item.height, timestamp: 0,
                                 colorSpace: item.colour});
  }

  function count(item, head) {
    const now = performance.now();
    SHOWN.push([now, now - item.taken]);
    while (SHOWN.length && now - SHOWN[0][0] > 2000) SHOWN.shift();
    if (now - told < 400 || SHOWN.length < 5) return;
    told = now;
    const lags = SHOWN.map(entry => entry[1]).sort((one, other) => one - other);
    const seconds = (now - SHOWN[0][0]) / 1000;
    find('fps').textContent = `${((SHOWN.length - 1) / seconds).toFixed(1)} frames/s`;
    find('lag').textContent = `${Math.round(lags[lags.length >> 1])} ms`;
    find('ms').textContent = `${head.ms.toFixed(1)} ms`;
    find('kind').textContent = head.repaired && head.block_px ? `${head.kind}, ${head.block_px} px` : head.kind;
  }

  start.addEventListener('click', () => (socket || stream ? stop() : begin()));
  for (const name of ['tier', 'which']) {
    find(name).addEventListener('change', () => { if (socket && socket.readyState === 1) socket.send(settings()); });
  }
  addEventListener('pagehide', () => stop());
  document.addEventListener('visibilitychange', () => {  // browsers take no pictures for pages that nobody sees
    clearTimeout(hidden);
    if (!document.hidden) return;
    hidden = setTimeout(() => { if (stream) stop('The camera was switched off while this page was hidden.'); }, 10000);
  });
};
