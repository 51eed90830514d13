// What signer.ts uses of the npm package pkcs11js: the package is optional, its types are not there without it.
declare module 'pkcs11js' {
  interface Attribute {
    readonly type: number;
    readonly value?: Buffer | number | string;
  }

  export class PKCS11 {
    load(path: string): void;
    close(): void;
    C_Initialize(): void;
    C_Finalize(): void;
    C_GetSlotList(tokenPresent: boolean): Buffer[];
    C_GetTokenInfo(slot: Buffer): { readonly label: string };
    C_OpenSession(slot: Buffer, flags: number): Buffer;
    C_Login(session: Buffer, user: number, pin: string): void;
    C_FindObjectsInit(session: Buffer, template: readonly Attribute[]): void;
    C_FindObjects(session: Buffer, most: number): Buffer[];
    C_FindObjectsFinal(session: Buffer): void;
    C_GetAttributeValue(session: Buffer, object: Buffer, template: readonly Attribute[]): Attribute[];
    C_SignInit(session: Buffer, mechanism: { readonly mechanism: number }, key: Buffer): void;
    C_Sign(session: Buffer, data: Buffer, signature: Buffer): Buffer;
  }

  export const CKF_SERIAL_SESSION: number;
  export const CKU_USER: number;
  export const CKO_PRIVATE_KEY: number;
  export const CKO_PUBLIC_KEY: number;
  export const CKA_CLASS: number;
  export const CKA_KEY_TYPE: number;
  export const CKA_LABEL: number;
  export const CKA_EC_PARAMS: number;
  export const CKA_EC_POINT: number;
  export const CKK_EC: number;
  export const CKM_ECDSA: number;
}
