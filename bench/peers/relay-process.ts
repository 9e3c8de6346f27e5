/** `relay-process FROM TO`: moves everything that comes from one port on to another, as it is, until it is killed. */
import { connect } from 'node:net';
import { must } from '#util/assert.ts';

const BUFFER_BYTES = 1 << 20;
/** One is read into, the others are being written or free. */
const BUFFERS = 4;
const host = '127.0.0.1';

const [from, to] = process.argv.slice(2);
const free: Buffer[] = Array.from({ length: BUFFERS }, () => Buffer.allocUnsafeSlow(BUFFER_BYTES));
const takeFree = (): Buffer => must(free.pop(), 'free buffer');
let current = takeFree();

const target = connect({ host, port: Number(to), noDelay: true });
const source = connect({
  host,
  port: Number(from),
  onread: {
    buffer: () => current,
    callback(bytes) {
      const full = current;
      target.write(full.subarray(0, bytes), () => {
        free.push(full);
        source.resume();
      });
      // Node asks for the next buffer at once, also when it is to pause: so it pauses while none is left beside that one.
      current = takeFree();
      return free.length > 0;
    },
  },
});
