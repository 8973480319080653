// Deterministic work for node.  V8 maps its own heap; what comes from malloc is
// the native side: buffers, zlib, OpenSSL, libuv, compiled code, threads.
'use strict';
const { createHash, createCipheriv, generateKeyPairSync, pbkdf2Sync, sign, verify } = require('crypto');
const { Worker, isMainThread, parentPort, workerData } = require('worker_threads');
const { promisify } = require('util');
const fs = require('fs');
const vm = require('vm');
const zlib = require('zlib');

let state = 12345;
function draw(n) {
  state = Number((BigInt(state) * 1103515245n + 12345n) % 2147483648n);
  return state % n;
}
const sha = (data) => createHash('sha256').update(data).digest('hex');

function churn(seed, rounds) {
  state = seed;
  const kept = [];
  let sum = 0;
  for (let i = 0; i < rounds; i++) {
    const buffer = Buffer.allocUnsafeSlow(1 + draw(2000)).fill(i & 255);
    if (i % 3 === 0) kept[draw(500)] = buffer;
    sum += buffer[buffer.length - 1];
  }
  return sum + kept.reduce((total, buffer) => total + buffer.length, 0);
}

async function main() {
  console.log('churn', churn(1, 60000));

  const objects = Array.from({ length: 40000 }, (_, i) => ({
    id: i, name: 'n'.repeat(draw(50)), tags: [draw(9), draw(99)], nested: { odd: i % 2 === 1 },
  }));
  const json = JSON.stringify(objects);
  console.log('json', sha(json), JSON.parse(json).length);

  const packed = await Promise.all(
    [1, 5, 9].map((level) => promisify(zlib.deflate)(json, { level })));
  console.log('deflate', packed.map(sha).join(' '));
  console.log('inflate', packed.every((p) => zlib.inflateSync(p).toString() === json));
  console.log('brotli', sha(zlib.brotliCompressSync(json.slice(0, 500000))));

  const cipher = createCipheriv('aes-256-gcm', Buffer.alloc(32, 7), Buffer.alloc(12, 9));
  console.log('aes', sha(Buffer.concat([cipher.update(json), cipher.final()])));
  console.log('pbkdf2', pbkdf2Sync('secret', 'salt', 20000, 32, 'sha512').toString('hex'));
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 1024 });
  const message = Buffer.from(json);
  const signature = sign('sha256', message, privateKey);
  console.log('rsa', verify('sha256', message, publicKey, signature));

  const files = Array.from({ length: 200 }, (_, i) => `file${i}`);
  await Promise.all(files.map((f, i) => fs.promises.writeFile(f, json.slice(0, i * 100))));
  const read = await Promise.all(files.map((f) => fs.promises.readFile(f)));
  console.log('files', sha(Buffer.concat(read)));

  const workers = [1, 2, 3, 4].map((seed) => new Promise((resolve, reject) => {
    const worker = new Worker(__filename, { workerData: seed });
    worker.once('message', resolve).once('error', reject);
  }));
  console.log('workers', (await Promise.all(workers)).join(' '));

  let sum = 0;
  for (let i = 0; i < 40; i++) {
    sum += vm.runInNewContext(`let a = []; for (let j = 0; j < 1000; j++) a.push(j * ${i}); a[999]`);
  }
  console.log('contexts', sum);
}

if (isMainThread) {
  main().catch((error) => { console.error(error); process.exit(1); });
} else {
  parentPort.postMessage(churn(workerData, 30000));
}
