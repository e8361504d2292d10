// The camera, frame by frame: sent raw where the server is this machine, as JPEG elsewhere; at most two on the way.
window.deepclarityLive = element => {
  const find = name => element.querySelector(`.dc-${name}`);
  const before = find('before'), after = find('after'), start = find('start'), said = find('live-said');
  const left = before.getContext('2d', {willReadFrequently: false}), right = after.getContext('2d');
  const small = document.createElement('canvas');
  const near = ['localhost', '127.0.0.1', '[::1]'].includes(location.hostname);
  const MOST = 2, SHOWN = [];
  let socket = null, stream = null, video = null, waiting = [], told = 0, raw = near && 'VideoFrame' in window;

  const say = words => { said.textContent = words; };
  const settings = () => JSON.stringify({tier: find('tier').value, which: find('which').value});

  function stop(words) {
    if (stream) stream.getTracks().forEach(track => track.stop());
    if (socket) { socket.onclose = null; socket.close(); }
    waiting.forEach(item => item.frame.close && item.frame.close());
    socket = stream = video = null; waiting = []; SHOWN.length = 0;
    start.textContent = 'Start camera';
    for (const name of ['fps', 'lag', 'ms', 'kind']) find(name).textContent = '–';
    say(words || 'The camera is off.');
  }

  async function begin() {
    if (!navigator.mediaDevices) { say('Browsers show cameras only to localhost or over HTTPS.'); return; }
    say('Asking for the camera …');
    try {
      stream = await navigator.mediaDevices.getUserMedia({
        video: {width: {ideal: 640}, height: {ideal: 360}, frameRate: {ideal: 30}}, audio: false});
    } catch (error) {
      stop(error.name === 'NotAllowedError' ? 'The camera was not allowed.' : 'No camera was found.');
      return;
    }
    socket = new WebSocket(`${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}/live`);
    socket.binaryType = 'arraybuffer';
    socket.onopen = () => { socket.send(settings()); watch(); };
    socket.onmessage = receive;
    socket.onclose = () => stop('The connection to the server ended.');
    start.textContent = 'Stop camera';
    say('Starting …');
  }

  async function watch() {
    video = document.createElement('video');
    video.muted = true; video.playsInline = true; video.srcObject = stream;
    await video.play();
    const {videoWidth: width, videoHeight: height} = video;
    for (const canvas of [before, after]) { canvas.width = width; canvas.height = height; }
    say(`${width} × ${height} px`);
    next();
  }

  function next() {
    if (video.requestVideoFrameCallback) video.requestVideoFrameCallback(arrived);
    else requestAnimationFrame(now => arrived(now, {}));
  }

  function arrived(now, about) {
    if (!video) return;
    next();
    if (waiting.length >= MOST || socket.readyState !== 1) return;  // the oldest would only be later: drop this one
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
    const item = {taken, frame: {}};
    waiting.push(item);
    try {
      item.frame = raw ? new VideoFrame(find('coarse').checked ? before : video, {timestamp: 0}) : {};
      const [head, data] = raw ? await planes(item.frame) : await jpeg();
      Object.assign(item, head);
      if (socket) socket.send(new Blob([JSON.stringify(head), '\n', data]));
    } catch (error) {
      if (raw) { raw = false; waiting.splice(waiting.indexOf(item), 1); } else { stop('The camera cannot be read.'); }
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
    if (typeof event.data === 'string') { stop(JSON.parse(event.data).refused); return; }
    const bytes = new Uint8Array(event.data), end = bytes.indexOf(10);
    const head = JSON.parse(new TextDecoder().decode(bytes.subarray(0, end)));
    const item = waiting[0];
    if (!item) return;
    const picture = bytes.subarray(end + 1);
    if (!head.repaired) {
      right.drawImage(item.frame.format ? item.frame : before, 0, 0, after.width, after.height);
    } else if (item.form === 'JPEG') {
      const shown = await createImageBitmap(new Blob([picture], {type: 'image/jpeg'}));
      right.drawImage(shown, 0, 0); shown.close();
    } else {
      const shown = new VideoFrame(picture, {format: 'I420', codedWidth: item.width, codedHeight: item.height,
                                             timestamp: 0, colorSpace: item.colour});
      right.drawImage(shown, 0, 0); shown.close();
    }
    waiting.shift();
    if (item.frame.close) item.frame.close();
    count(item, head);
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
};
