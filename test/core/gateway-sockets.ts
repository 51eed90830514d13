// The sockets that a simulated gateway keeps for a meter: which message opens, uses or closes which of them.
import { Message } from '../../as/abi/codes.ts';
import type { MeterMessage, TlsExport, UdpSend } from '../../host/link/messages.ts';

export abstract class GatewaySockets<Connection> {
  /** TLS connections that stand or are being opened, by their ids. */
  protected readonly connections = new Map<number, Connection>();
  /** The index of the server that each UDP socket leads to. */
  protected readonly sockets = new Map<number, number>();

  protected abstract tlsOpen(id: number, host: string): void;
  protected abstract tlsWrite(id: number, data: Buffer): void;
  protected abstract tlsExport(message: TlsExport): void;
  protected abstract udpOpen(socket: number, host: string): void;
  /** @param arrivedNs the gateway's stamp of the request's last byte */
  protected abstract udpSend(request: UdpSend, arrivedNs: bigint): void;

  /** Does what a message about sockets asks for; there are others, about which nothing is done. */
  protected takeForSockets(message: MeterMessage, arrivedNs: bigint): void {
    switch (message.type) {
      case Message.TlsOpen:
        this.tlsOpen(message.id, message.host);
        break;
      case Message.TlsWrite:
        this.tlsWrite(message.id, Buffer.from(message.data));
        break;
      case Message.TlsExport:
        this.tlsExport(message);
        break;
      case Message.TlsClose:
        this.connections.delete(message.id);
        break;
      case Message.UdpOpen:
        this.udpOpen(message.socket, message.host);
        break;
      case Message.UdpClose:
        this.sockets.delete(message.socket);
        break;
      case Message.UdpSend:
        this.udpSend(message, arrivedNs);
        break;
    }
  }
}
