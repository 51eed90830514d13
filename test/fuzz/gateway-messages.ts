// All messages that a gateway has for a meter.
import { Message } from '../../as/abi/codes.ts';

export const gatewayMessages: readonly Message[] = [
  Message.UdpReceived,
  Message.TimeProbe,
  Message.UdpFailed,
  Message.TlsOpened,
  Message.TlsData,
  Message.TlsExported,
  Message.TlsClosed,
  Message.UdpOpened,
  Message.UdpOpenFailed,
  Message.EventAck,
  Message.RecordAck,
  Message.EntriesAsk,
  Message.Release,
  Message.BlockWrite,
  Message.Provision,
  Message.BlockCommit,
  Message.UpdateBegin,
  Message.UpdatePart,
  Message.UpdateFinish,
];
