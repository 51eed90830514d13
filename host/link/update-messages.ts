// The messages that replace a meter's software: bytes to typed values and back; layouts in as/abi/codes.ts. What a manifest
// says is not looked at here: host/update/manifest.ts.
// What always holds: as in messages.ts, strict both ways.
import {
  ManifestField,
  Message,
  Slot,
  SlotsField,
  UpdateBeginField,
  UpdateFinishField,
  UpdateLimit,
  UpdatePartField,
  UpdateState,
} from '../../as/abi/codes.ts';
import { type ByteReader, type ByteWriter, MessageError, oneOf, token } from './message-bytes.ts';

/** What runs, and how far an update is. */
export interface Slots {
  readonly type: Message.Slots;
  /** The one that runs. */
  readonly slot: Slot.A | Slot.B;
  /** `SlotFlag` bits. */
  readonly flags: number;
  readonly state: UpdateState;
  readonly imageVersion: number;
  /** The lowest version that is taken. */
  readonly floor: number;
  readonly slotBytes: number;
  /** Of the image that comes or came; 0 without one. */
  readonly offset: number;
  readonly length: number;
  readonly version: number;
  /** `keyIdBytes` bytes; zeros where updates are not taken. */
  readonly keyId: Uint8Array;
}

/** An image is to come, or to go on. */
export interface UpdateBegin {
  readonly type: Message.UpdateBegin;
  /** Not 0. */
  readonly token: number;
  readonly manifest: Uint8Array;
  readonly signature: Uint8Array;
}

/** A part of it; 4 to `UpdateLimit.PartBytes` bytes. */
export interface UpdatePart {
  readonly type: Message.UpdatePart;
  /** Not 0. */
  readonly token: number;
  readonly offset: number;
  readonly part: Uint8Array;
}

/** It is whole. */
export interface UpdateFinish {
  readonly type: Message.UpdateFinish;
  /** Not 0. */
  readonly token: number;
  readonly manifest: Uint8Array;
}

export type GatewayUpdateMessage = UpdateBegin | UpdatePart | UpdateFinish;
export type UpdateMessage = Slots | GatewayUpdateMessage;

export const manifestBytes = ManifestField.Bytes;
export const signatureBytes = UpdateBeginField.Bytes - UpdateBeginField.Signature;
export const keyIdBytes = SlotsField.Bytes - SlotsField.KeyId;

type Of<Type> = Extract<UpdateMessage, { type: Type }>;
type Decoders = { [Type in UpdateMessage['type']]: (reader: ByteReader) => Of<Type> };
type Encoders = { [Type in UpdateMessage['type']]: (message: Of<Type>, writer: ByteWriter) => void };

export const updateDecoders: Decoders = {
  [Message.Slots]: (r) => {
    r.exactly(SlotsField.Bytes);
    const slot = r.u8(SlotsField.Slot);
    if (slot !== Slot.A && slot !== Slot.B)
      throw new MessageError('value', `Slots: expected slot 1 or 2, came ${slot}`);
    return {
      type: Message.Slots,
      slot,
      flags: r.u8(SlotsField.Flags),
      state: oneOf(r, SlotsField.State, UpdateState, 'a state of an update'),
      imageVersion: r.u32(SlotsField.ImageVersion),
      floor: r.u32(SlotsField.Floor),
      slotBytes: r.u32(SlotsField.SlotBytes),
      offset: r.u32(SlotsField.Offset),
      length: r.u32(SlotsField.Length),
      version: r.u32(SlotsField.Version),
      keyId: r.bytes(SlotsField.KeyId, keyIdBytes),
    };
  },
  [Message.UpdateBegin]: (r) => {
    r.exactly(UpdateBeginField.Bytes);
    return {
      type: Message.UpdateBegin,
      token: token(r.name, r.u16(UpdateBeginField.Token)),
      manifest: r.bytes(UpdateBeginField.Manifest, manifestBytes),
      signature: r.bytes(UpdateBeginField.Signature, signatureBytes),
    };
  },
  [Message.UpdatePart]: (r) => ({
    type: Message.UpdatePart,
    token: token(r.name, r.u16(UpdatePartField.Token)),
    offset: r.u32(UpdatePartField.Offset),
    part: partOf(r.rest(UpdatePartField.Part, 4)),
  }),
  [Message.UpdateFinish]: (r) => {
    r.exactly(UpdateFinishField.Bytes);
    return {
      type: Message.UpdateFinish,
      token: token(r.name, r.u16(UpdateFinishField.Token)),
      manifest: r.bytes(UpdateFinishField.Manifest, manifestBytes),
    };
  },
};

export const updateEncoders: Encoders = {
  [Message.Slots]: (m, w) =>
    w
      .u8(m.slot)
      .u8(m.flags)
      .u8(m.state)
      .u32(m.imageVersion)
      .u32(m.floor)
      .u32(m.slotBytes)
      .u32(m.offset)
      .u32(m.length)
      .u32(m.version)
      .raw(m.keyId, keyIdBytes),
  [Message.UpdateBegin]: (m, w) =>
    w
      .pad(UpdateBeginField.Token)
      .u16(token('UpdateBegin', m.token))
      .raw(m.manifest, manifestBytes)
      .raw(m.signature, signatureBytes),
  [Message.UpdatePart]: (m, w) =>
    w.pad(UpdatePartField.Token).u16(token('UpdatePart', m.token)).u32(m.offset).raw(partOf(m.part)),
  [Message.UpdateFinish]: (m, w) =>
    w.pad(UpdateFinishField.Token).u16(token('UpdateFinish', m.token)).raw(m.manifest, manifestBytes),
};

function partOf(part: Uint8Array): Uint8Array {
  if (part.length > 0 && part.length <= UpdateLimit.PartBytes && part.length % 4 === 0) return part;
  throw new MessageError(
    'value',
    `UpdatePart: expected 4 to ${UpdateLimit.PartBytes} bytes that four divides, came ${part.length}`,
  );
}
