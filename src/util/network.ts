/**
 * The network as the rooms of the data path see it; the system's is in host.ts.
 * Reads are filled in place: the reader says where the next bytes go, so a response of megabytes lands in the buffer
 * from which its batches are later written, without a copy (measured: `onread` against `data`, 0.79 against 1.01 CPU-s/GB).
 */
export interface Network {
  /** Starts to connect and returns at once; the outcome comes as onConnect or onClose, exactly one of them first. */
  connect(options: ConnectOptions): Socket;
}

export interface ConnectOptions {
  readonly host: string;
  readonly port: number;
  /** Without it the connection is plaintext. */
  readonly tls?: TlsOptions;
  /**
   * What speaks against connecting to an address, null for nothing. Every address that `host` is resolved to is asked about
   * before the first is connected to, and only those are: a name that leads elsewhere a moment later changes nothing.
   * An objection ends as onClose with an AddressDeniedError.
   */
  readonly admit?: (address: string) => string | null;
  /** Called before each read: where the next bytes go. Never empty. */
  buffer(): Uint8Array;
  /** `bytes` bytes have been written to the start of what `buffer` returned last. */
  onRead(bytes: number): void;
  /** The connection stands; with TLS, the handshake is done and the peer's certificate has been checked. */
  onConnect(): void;
  /** The send buffer has emptied after `write` returned false. */
  onDrain(): void;
  /** Called exactly once, when nothing more will be read or written. `error` is null after an orderly close. */
  onClose(error: Error | null): void;
}

/**
 * TLS 1.2 or later. The peer's certificate and the name in it are always checked; nothing can switch that off. What does
 * not fit (a key of another certificate, no PEM) ends as onClose, as every other failure does.
 */
export interface TlsOptions {
  /** Host name or address that the peer's certificate must carry. */
  readonly serverName: string;
  /** Authorities that are trusted, PEM; null: those that the runtime trusts. */
  readonly ca: string | null;
  /** What we show when the peer asks who we are: a certificate chain and its key, PEM; null: nothing. */
  readonly identity: {
    readonly certificate: string;
    readonly key: string;
    /** Of an encrypted key. */
    readonly keyPassword: string | null;
  } | null;
}

/** ConnectOptions.admit objected; the message is what it said. */
export class AddressDeniedError extends Error {
  override name = 'AddressDeniedError';
}

export interface Socket {
  /** Queues the chunks as one gathered write. The bytes must stay as they are until the peer has answered. False: wait for onDrain. */
  write(chunks: readonly Uint8Array[]): boolean;
  /** Stops reading until `resume`; what the kernel holds stays there, so the peer feels the pressure. */
  pause(): void;
  resume(): void;
  /** Closes at once; onClose follows. May be called again. */
  destroy(): void;
}
