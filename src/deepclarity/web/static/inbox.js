// Files that are dropped or pasted anywhere, or chosen several at once, are uploaded and handed to the open tab.
(() => {
  const isShown = node => node && node.getClientRects().length > 0;
  const shownInbox = kind => [...document.querySelectorAll('.dc-inbox')]
    .find(inbox => isShown(inbox) && (!kind || inbox.dataset.kind === kind));
  const isVideo = file => file.type.startsWith('video/') || /\.(mkv|ts|m2ts|mts|flv|avi|mov|mp4|webm|y4m)$/i.test(file.name);
  let request = null;

  const say = (inbox, text, alert) => {
    const status = inbox.querySelector('.dc-inbox-status');
    status.textContent = text;
    status.classList.toggle('dc-alert', Boolean(alert));
  };
  const plural = count => count === 1 ? 'the file' : `${count} files`;

  function refusal(inbox, files) {
    const {kind, count, megabytes} = inbox.dataset;
    const total = files.reduce((sum, file) => sum + file.size, 0);
    if (files.length > count) return kind === 'video' ? 'One video at a time.' : `These are ${files.length} pictures: at most ${count} at once.`;
    if (total > megabytes * 1048576) return `These files have ${Math.ceil(total / 1048576)} MB: at most ${megabytes} MB at once.`;
    return '';
  }

  function upload(inbox, files) {
    if (request) { say(inbox, 'An upload is in progress. Wait for it, or cancel.', true); return; }
    const problem = refusal(inbox, files);
    if (problem) { say(inbox, problem, true); return; }
    const form = new FormData(), stop = inbox.querySelector('.dc-stop');
    for (const file of files) form.append('files', file, file.name || 'pasted.png');
    const end = (text, alert) => { request = null; stop.hidden = true; say(inbox, text, alert); };
    request = new XMLHttpRequest();
    request.open('POST', '/gradio_api/upload');
    request.upload.onprogress = event => {
      if (event.lengthComputable) say(inbox, `Uploading ${plural(files.length)}: ${Math.round(100 * event.loaded / event.total)} %`);
    };
    request.onload = event => {
      const {status, responseText} = event.target;
      let answer = null;
      try { answer = JSON.parse(responseText); } catch (error) { /* not from us: said below */ }
      if (status !== 200 || !Array.isArray(answer)) {
        end((answer && answer.error) || 'The upload failed. Try again.', true);
        return;
      }
      end('');
      inbox.dcTrigger('click', {files: answer.map((path, number) => ({
        path, orig_name: files[number].name || 'pasted.png', size: files[number].size, meta: {_type: 'gradio.FileData'}}))});
    };
    request.onerror = () => end('The upload failed: the connection was lost. Try again.', true);
    request.onabort = () => end('The upload was cancelled.');
    stop.hidden = false;
    say(inbox, `Uploading ${plural(files.length)} …`);
    request.send(form);
  }

  // Pictures go to the open tab if that takes pictures, and videos to the Video tab.
  async function deliver(files) {
    const kind = files.every(isVideo) ? 'video' : 'pictures';
    if (!shownInbox(kind)) {
      const name = kind === 'video' ? 'Video' : 'Correct';
      const tab = [...document.querySelectorAll('[role=tab]')].find(each => each.textContent.trim() === name);
      if (!tab) { if (shownInbox()) say(shownInbox(), 'This page takes pictures only.', true); return; }
      tab.click();
      for (let tries = 0; tries < 100 && !(shownInbox(kind) || {}).dcTrigger; tries++) await new Promise(done => setTimeout(done, 30));
    }
    if (shownInbox(kind)) upload(shownInbox(kind), files);
  }

  const hasFiles = event => event.dataTransfer && [...event.dataTransfer.types].includes('Files');
  const shade = on => document.documentElement.classList.toggle('dc-dragging', on && document.querySelector('.dc-inbox') !== null);
  let inside = 0;
  window.addEventListener('dragenter', event => { if (hasFiles(event)) { inside += 1; shade(true); } }, true);
  window.addEventListener('dragleave', event => { if (hasFiles(event) && --inside <= 0) { inside = 0; shade(false); } }, true);
  window.addEventListener('dragover', event => { if (hasFiles(event)) event.preventDefault(); }, true);
  window.addEventListener('drop', event => {
    if (!hasFiles(event)) return;
    event.preventDefault();  // or the browser would leave the page to show the file
    event.stopImmediatePropagation();
    inside = 0;
    shade(false);
    const files = [...event.dataTransfer.files];
    if (files.length) deliver(files);
  }, true);
  window.addEventListener('paste', event => {
    const files = [...(event.clipboardData ? event.clipboardData.files : [])];
    if (!files.length || !document.querySelector('.dc-inbox')) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    deliver(files);
  }, true);

  document.addEventListener('click', event => {
    const inbox = event.target.closest && event.target.closest('.dc-inbox');
    if (!inbox) return;
    if (event.target.closest('.dc-choose')) inbox.querySelector('input').click();
    if (event.target.closest('.dc-stop') && request) request.abort();
  });
  document.addEventListener('change', event => {
    const inbox = event.target.closest && event.target.closest('.dc-inbox');
    if (!inbox || !event.target.files || !event.target.files.length) return;
    const files = [...event.target.files];
    event.target.value = '';  // so that the same files can be chosen again
    upload(inbox, files);
  });

  // Enter presses the tab's main button, unless the focus is on something that Enter is for.
  document.addEventListener('keydown', event => {
    if (event.key === 'Escape' && request) request.abort();
    if (event.key !== 'Enter' || event.defaultPrevented || event.isComposing || event.ctrlKey || event.altKey || event.metaKey) return;
    const target = event.target;
    if (target !== document.body && !target.matches('input[type=radio], input[type=range], .dc-stage')) return;
    const button = [...document.querySelectorAll('button.primary')].find(isShown);
    if (button && !button.disabled) { event.preventDefault(); button.click(); }
  });
})();
