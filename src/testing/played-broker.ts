/** A broker played on a scripted network: a real connection to it, opened, and its requests read. */
import { openConnection, type Connection } from '#kafka/connection.ts';
import { FramePool } from '#kafka/frame.ts';
import { must } from '#util/assert.ts';
import {
  apiVersionsBody,
  fetchBody,
  parseRequest,
  produceBody,
  readFetch,
  readProduce,
  responseFrame,
  type FetchAsked,
  type ProduceAnswer,
  type ProduceAsked,
  type RequestFrame,
} from './broker-frames.ts';
import { ManualClock, settle } from './manual-clock.ts';
import { ScriptedNetwork, type ScriptedPeer } from './scripted-network.ts';

const SPOKEN = [
  [0, 3, 12],
  [1, 4, 17],
  [18, 0, 4],
] as const;

export class PlayedBroker {
  readonly clock: ManualClock;
  readonly pool: FramePool;
  readonly connection: Connection;
  readonly peer: ScriptedPeer;
  readonly #unread: RequestFrame[] = [];

  private constructor(options: { clock: ManualClock; pool: FramePool; connection: Connection; peer: ScriptedPeer }) {
    this.clock = options.clock;
    this.pool = options.pool;
    this.connection = options.connection;
    this.peer = options.peer;
  }

  /** `bytesMax` bounds the pool; `apis` is what it speaks. */
  static async open(
    options: { bytesMax?: number; apis?: readonly (readonly [number, number, number])[]; shared?: PlayedBroker } = {},
  ): Promise<PlayedBroker> {
    const network = new ScriptedNetwork();
    const clock = options.shared?.clock ?? new ManualClock();
    const pool = options.shared?.pool ?? new FramePool({ bytesMax: options.bytesMax ?? 2 ** 30 });
    const settings = { network, clock, pool, host: 'broker', port: 9092, clientId: 'test', connectTimeoutMs: 1_000 };
    const opening = openConnection(settings);
    network.peer.accept();
    await settle();
    const [asked] = network.peer.takeRequests();
    network.peer.send(responseFrame(parseRequest(must(asked, 'ApiVersions')), apiVersionsBody(options.apis ?? SPOKEN)));
    return new PlayedBroker({ clock, pool, connection: await opening, peer: network.peer });
  }

  /** Requests that were sent and not read by `next…` or `take`. */
  get waiting(): number {
    this.#read();
    return this.#unread.length;
  }

  take(): RequestFrame {
    this.#read();
    return must(this.#unread.shift(), 'a request');
  }

  /** The next request, a Fetch, and a function that answers it. */
  nextFetch(): { asked: FetchAsked; answer: (response: Parameters<typeof fetchBody>[0]) => void } {
    const request = this.take();
    return { asked: readFetch(request.reader), answer: (response) => this.answer(request, fetchBody(response)) };
  }

  /** The next request, a Produce, and a function that answers it. */
  nextProduce(): { asked: ProduceAsked; answer: (answers: readonly ProduceAnswer[], throttleTimeMs?: number) => void } {
    const request = this.take();
    return {
      asked: readProduce(request.reader),
      answer: (answers, throttleTimeMs) => this.answer(request, produceBody(answers, throttleTimeMs)),
    };
  }

  answer(request: RequestFrame, body: Buffer): void {
    this.peer.send(responseFrame(request, body));
  }

  #read(): void {
    this.#unread.push(...this.peer.takeRequests().map((frame) => parseRequest(frame)));
  }
}
