/** `relay-sender-process TIMES FILE…`: sends the files, so often, to whoever connects; tells its parent where it listens. */
import { closeSync, openSync, readSync } from 'node:fs';
import { createServer, type AddressInfo, type Socket } from 'node:net';

const BUFFER_BYTES = 1 << 20;

const [times = '1', ...files] = process.argv.slice(2);
const buffer = Buffer.allocUnsafeSlow(BUFFER_BYTES);

async function sendAll(socket: Socket): Promise<void> {
  for (let time = 0; time < Number(times); time++) for (const file of files) await send(file, socket);
  socket.end();
}

async function send(file: string, socket: Socket): Promise<void> {
  const descriptor = openSync(file, 'r');
  for (;;) {
    const bytes = readSync(descriptor, buffer, 0, BUFFER_BYTES, null);
    if (bytes === 0) break;
    // Until it is written the socket refers to the buffer.
    await new Promise((resolve) => socket.write(buffer.subarray(0, bytes), resolve));
  }
  closeSync(descriptor);
}

const server = createServer((socket) => {
  socket.setNoDelay(true);
  void sendAll(socket);
});
server.listen(0, '127.0.0.1', () => process.send?.((server.address() as AddressInfo).port));
