/** Long enough to even out single batches, short enough to show a standstill soon. */
const WINDOW_MS = 4000;

interface Sample {
  readonly at: number;
  readonly count: number;
}

/** Rates of named counters over the last four seconds. */
export class RateMeter {
  readonly #samples = new Map<string, Sample[]>();

  /** Takes a count and returns the rate per second; null until there are two. The same sample again changes nothing. */
  add(name: string, sample: Sample): number | null {
    const samples = this.#samples.get(name) ?? [];
    this.#samples.set(name, samples);
    if (samples.at(-1)?.at !== sample.at) samples.push(sample);
    while (samples.length > 2 && (samples[1]?.at ?? 0) <= sample.at - WINDOW_MS) samples.shift();
    const oldest = samples[0] ?? sample;
    return sample.at === oldest.at ? null : ((sample.count - oldest.count) / (sample.at - oldest.at)) * 1000;
  }
}
