// Names and texts of what becomes of an update.
import { UpdateRefusal, UpdateState } from '../../as/abi/codes.ts';
import type { Names } from './names.ts';

/** Why software is not taken. */
export const updateRefusalNames: Names<UpdateRefusal> = {
  [UpdateRefusal.None]: { name: 'none', text: 'it is taken' },
  [UpdateRefusal.NoKey]: { name: 'no-key', text: 'the settings name no key for updates' },
  [UpdateRefusal.Manifest]: { name: 'manifest', text: 'it is no update, or one of another format' },
  [UpdateRefusal.Board]: { name: 'board', text: 'it is for another board' },
  [UpdateRefusal.Slot]: { name: 'slot', text: 'it is for the slot that runs' },
  [UpdateRefusal.Length]: { name: 'length', text: 'it is longer than a slot, or its length is none that an image has' },
  [UpdateRefusal.Version]: { name: 'version', text: 'its version is below the lowest that is taken' },
  [UpdateRefusal.Signature]: { name: 'signature', text: 'its signature does not hold under the key of the settings' },
  [UpdateRefusal.Image]: { name: 'image', text: 'what arrived is not what was signed' },
  [UpdateRefusal.NotLogged]: {
    name: 'not-logged',
    text: 'the logbook has no room for it, or the gateway did not store the event',
  },
};

/** How far an update is. */
export const updateStateNames: Names<UpdateState> = {
  [UpdateState.None]: { name: 'none', text: 'no update' },
  [UpdateState.Receiving]: { name: 'receiving', text: 'an image comes' },
  [UpdateState.Accepted]: { name: 'accepted', text: 'an image is accepted, and tried or to be tried' },
};
