/** Takes what comes and counts it; tells its parent where it listens, and how many bytes there were whenever it is asked. */
import { createServer, type AddressInfo } from 'node:net';

let bytes = 0;
const server = createServer((socket) => {
  socket.on('data', (chunk) => {
    bytes += chunk.length;
  });
});
process.on('message', () => process.send?.(bytes));
server.listen(0, '127.0.0.1', () => process.send?.((server.address() as AddressInfo).port));
