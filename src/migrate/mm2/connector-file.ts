/** Connectors of MirrorMaker 2 one by one, as Kafka Connect and Amazon MSK Connect are given them: properties or JSON. */
import type { Connector } from '../mirror-maker/model.ts';
import type { Setting } from '../report.ts';

export interface ConnectorFile {
  readonly path: string;
  readonly connector: Connector;
  readonly settings: ReadonlyMap<string, Setting>;
}

const CLASSES: Readonly<Record<string, Connector>> = {
  MirrorSourceConnector: 'source',
  MirrorCheckpointConnector: 'checkpoint',
  MirrorHeartbeatConnector: 'heartbeat',
};

/** Null where they are not of a connector of MirrorMaker 2. */
export function connectorOf(path: string, settings: readonly Setting[]): ConnectorFile | null {
  const byName = new Map(settings.map((setting) => [setting.name, setting]));
  const className = byName.get('connector.class')?.value ?? '';
  const connector = CLASSES[className.trim().slice(className.lastIndexOf('.') + 1)];
  return connector === undefined ? null : { path, connector, settings: byName };
}

/**
 * The settings of a JSON file: `{ name, config: {…} }` as Connect's API has it, `{ connectorConfiguration: {…} }` as
 * MSK Connect's, or the configuration alone. Null where it is none of them.
 */
export function settingsOfJson(path: string, text: string): Setting[] | null {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError) return null;
    throw error;
  }
  if (!isRecord(value)) return null;
  const inner = value['config'] ?? value['connectorConfiguration'];
  const config = isRecord(inner) ? inner : value;
  const around = config === value ? [] : Object.entries(value).filter(([, each]) => each !== inner);
  return [...around, ...Object.entries(config)].map(([name, each]) => ({
    file: path,
    line: null,
    name,
    value: textOf(each),
  }));
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : (JSON.stringify(value) ?? '');
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
