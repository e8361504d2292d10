// Live view: sends camera frames (raw to a server on this machine, JPEG otherwise) and shows the answers.
window.deepclarityLive = element => {
  const find = name => element.querySelector(`.dc-${name}`);
  const before = find('before'), after = find('after'), start = find('start'), status = find('live-status');
  const left = before.getContext('2d', {willReadFrequently: false}), right = after.getContext('2d');
  const coarse = document.createElement('canvas');
  const isLocal = ['localhost', '127.0.0.1', '[::1]'].includes(location.hostname);
  const MAX_IN_FLIGHT = 2, displayed = [];  // displayed: [time, delay] of the last two seconds
  // `session` is increased by every start and stop, so that late callbacks of an earlier session can be recognised.
  let socket = null, stream = null, video = null, session = 0, encoding = 0, pending = [];
  let lastSent = 0, lastDrawn = 0, lastReport = 0;
  let raw = isLocal && 'VideoFrame' in window, hiddenTimer = 0;

  const showStatus = text => { status.textContent = text; };
  const settings = () => JSON.stringify({tier: find('tier').value, which: find('which').value});

  const release = item => { if (item.frame) item.frame.close(); item.frame = null; };

  function stop(text) {
    session += 1;
    if (stream) stream.getTracks().forEach(track => track.stop());
    if (socket) { socket.onclose = null; socket.close(); }
    pending.forEach(release);
    socket = stream = video = null; pending = []; encoding = 0; displayed.length = 0;
    start.textContent = 'Start camera';
    for (const name of ['fps', 'lag', 'ms', 'kind']) find(name).textContent = '–';
    showStatus(text || 'The camera is off.');
  }

  async function begin() {
    if (!navigator.mediaDevices) { showStatus('Browsers allow cameras only on localhost or over HTTPS.'); return; }
    showStatus('Waiting for permission to use the camera …');
    const mySession = ++session;
    let granted = null, failure = null;
    start.disabled = true;
    try {
      granted = await navigator.mediaDevices.getUserMedia({
        video: {width: {ideal: 640}, height: {ideal: 360}, frameRate: {ideal: 30}}, audio: false});
    } catch (error) { failure = error; }
    start.disabled = false;
    if (mySession !== session) { if (granted) granted.getTracks().forEach(track => track.stop()); return; }
    if (failure) {
      stop(failure.name === 'NotAllowedError' ? 'Camera access was denied.' : 'No camera was found.');
      return;
    }
    stream = granted;
    socket = new WebSocket(`${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}/live`);
    socket.binaryType = 'arraybuffer';
    socket.onopen = () => { socket.send(settings()); play(mySession); };
    socket.onmessage = receive;
    socket.onclose = () => stop('The connection to the server was closed.');
    start.textContent = 'Stop camera';
    showStatus('Starting …');
  }

  async function play(mySession) {
    const player = document.createElement('video');
    player.muted = true; player.playsInline = true; player.srcObject = stream;
    try {
      await player.play();
    } catch (error) {
      if (mySession === session) stop('The camera cannot be read.');
      return;
    }
    if (mySession !== session) return;
    video = player;
    const {videoWidth: width, videoHeight: height} = video;
    for (const canvas of [before, after]) { canvas.width = width; canvas.height = height; }
    showStatus(`${width} × ${height} px`);
    requestFrame();
  }

  function requestFrame() {
    const mySession = session;
    const callback = (now, metadata) => { if (mySession === session) onFrame(now, metadata); };
    if (video.requestVideoFrameCallback) video.requestVideoFrameCallback(callback);
    else requestAnimationFrame(now => callback(now, {}));
  }

  function onFrame(now, metadata) {
    requestFrame();
    // with too many frames in flight, another one would only add delay: drop it
    if (encoding + pending.length >= MAX_IN_FLIGHT || socket.readyState !== 1) return;
    const captureTime = metadata.captureTime || now;
    if (find('coarse').checked) {
      coarse.width = before.width / 4; coarse.height = before.height / 4;
      coarse.getContext('2d').drawImage(video, 0, 0, coarse.width, coarse.height);
      left.imageSmoothingEnabled = false;
      left.drawImage(coarse, 0, 0, before.width, before.height);
    } else {
      left.drawImage(video, 0, 0, before.width, before.height);
    }
    send(captureTime);
  }

  async function send(captureTime) {
    const mySession = session, wasRaw = raw, item = {captureTime, frame: null, number: ++lastSent};
    let sent = false;
    encoding += 1;
    try {
      if (wasRaw) item.frame = new VideoFrame(find('coarse').checked ? before : video, {timestamp: 0});
      const [header, data] = wasRaw ? await planes(item.frame) : await jpeg();
      if (mySession !== session) return;
      Object.assign(item, header);
      socket.send(new Blob([JSON.stringify(header), '\n', data]));
      pending.push(item);  // the answers arrive in the order of sending
      sent = true;
    } catch (error) {
      if (mySession !== session) return;
      if (wasRaw) raw = false; else stop('The camera cannot be read.');
    } finally {
      if (mySession === session) encoding -= 1;
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
    const mySession = session, item = pending.shift();
    if (!item) return;
    try {
      const bytes = new Uint8Array(event.data), end = bytes.indexOf(10);
      const header = JSON.parse(new TextDecoder().decode(bytes.subarray(0, end)));
      const image = header.repaired ? await decode(item, bytes.subarray(end + 1)) : null;
      if (mySession === session && item.number > lastDrawn) {
        lastDrawn = item.number;
        if (image) right.drawImage(image, 0, 0);
        else right.drawImage(item.frame || before, 0, 0, after.width, after.height);
        updateStats(item, header);
      }
      if (image) image.close();
    } catch (error) {
      if (mySession === session) stop('A frame from the server cannot be displayed.');
    } finally {
      release(item);
    }
  }

  function decode(item, data) {
    if (item.form === 'JPEG') return createImageBitmap(new Blob([data], {type: 'image/jpeg'}));
    return new VideoFrame(data, {format: 'I420', codedWidth: item.width, codedHeight: item.height, timestamp: 0,
                                 colorSpace: item.colour});
  }

  function updateStats(item, header) {
    const now = performance.now();
    displayed.push([now, now - item.captureTime]);
    while (displayed.length && now - displayed[0][0] > 2000) displayed.shift();
    if (now - lastReport < 400 || displayed.length < 5) return;
    lastReport = now;
    const delays = displayed.map(entry => entry[1]).sort((one, other) => one - other);
    const seconds = (now - displayed[0][0]) / 1000;
    find('fps').textContent = `${((displayed.length - 1) / seconds).toFixed(1)} frames/s`;
    find('lag').textContent = `${Math.round(delays[delays.length >> 1])} ms`;
    find('ms').textContent = `${header.ms.toFixed(1)} ms`;
    find('kind').textContent = header.repaired && header.block_px ? `${header.kind}, ${header.block_px} px` : header.kind;
  }

  start.addEventListener('click', () => (socket || stream ? stop() : begin()));
  for (const name of ['tier', 'which']) {
    find(name).addEventListener('change', () => { if (socket && socket.readyState === 1) socket.send(settings()); });
  }
  addEventListener('pagehide', () => stop());
  document.addEventListener('visibilitychange', () => {  // browsers deliver no frames to hidden pages
    clearTimeout(hiddenTimer);
    if (!document.hidden) return;
    hiddenTimer = setTimeout(() => { if (stream) stop('The camera was switched off because this page was hidden.'); }, 10000);
  });
};
