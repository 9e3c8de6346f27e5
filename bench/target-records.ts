import { FieldWriter, WireClient } from '#testing/wire-client.ts';

const LIST_OFFSETS = 2;
const LATEST = -1;
/** Of a partition in the request: its number and a timestamp. */
const PLACE_BYTES = 12;
/** With a topic's name of 249 characters at most. */
const BESIDE_PLACES_BYTES_MAX = 512;

/** Counts what has arrived in a topic, with one small request each time, so that looking costs next to nothing. */
export class TargetRecords {
  readonly #client: WireClient;
  readonly #body: Buffer;

  private constructor(client: WireClient, body: Buffer) {
    this.#client = client;
    this.#body = body;
  }

  /** `address` is the host:port of the only broker. The topic need not be there yet. */
  static async open(address: string, topic: string, partitions: number): Promise<TargetRecords> {
    const body = new FieldWriter(PLACE_BYTES * partitions + BESIDE_PLACES_BYTES_MAX);
    body.int32(-1).int8(0).int32(1).string(topic).int32(partitions);
    for (let partition = 0; partition < partitions; partition++) body.int32(partition).int64(LATEST);
    return new TargetRecords(await WireClient.connect(address), body.done());
  }

  /** The sum of the end offsets, which is the number of records where all logs begin at 0. 0 before the topic is there. */
  async count(): Promise<number> {
    const response = await this.#client.call(LIST_OFFSETS, 2, this.#body);
    response.int32(); // throttle time
    let count = 0;
    response.array(() => {
      response.string();
      return response.array(() => {
        response.int32();
        const error = response.int16();
        response.int64(); // timestamp
        const offset = response.int64();
        if (error === 0) count += offset;
      });
    });
    return count;
  }

  close(): void {
    this.#client.close();
  }
}
